// acme-agent-sim [--seed N] [--runs N] [--years N] [--jobs N] [--trouble PERCENT] [--local] [--first] [--verbose]
// Plays that many runs from that seed on, each of so many years (a decade); a run that goes wrong names its seed, and
// is the last one with --first. With --local the certificate is of our own authority, of which devices have some, too.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "simulation.hpp"

namespace {

struct Options {
  std::uint64_t seed = 1;
  int runs = 1;
  int years = 10;
  int jobs = 1;
  int trouble = 100;
  bool verbose = false;
  bool first = false;
  bool local = false;
};

Options read(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--verbose" || word == "--first" || word == "--local") {
      (word == "--first" ? options.first : word == "--local" ? options.local : options.verbose) = true;
      continue;
    }
    const unsigned long long value = i + 1 < argc ? std::strtoull(argv[i + 1], nullptr, 10) : 0;
    ++i;
    if (word == "--seed")
      options.seed = value;
    else if (word == "--runs")
      options.runs = static_cast<int>(value);
    else if (word == "--years")
      options.years = static_cast<int>(value);
    else if (word == "--trouble")
      options.trouble = static_cast<int>(value);
    else if (word == "--jobs")
      options.jobs = static_cast<int>(value);
    else {
      std::fprintf(stderr,
                   "usage: acme-agent-sim [--seed N] [--runs N] [--years N] [--jobs N] [--trouble PERCENT] [--local] "
                   "[--first] [--verbose]\n");
      std::exit(2);
    }
  }
  return options;
}

/// How many runs somebody has begun, counted by all processes together.
std::atomic<int>& runs_begun() {
  void* shared = ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::bad_alloc();
  return *new (shared) std::atomic<int>(0);
}

/// One run after the other, as long as there are any; false if one went wrong.
bool play(const Options& options, std::atomic<int>& begun) {
  acme_agent::sim::Result sum;
  bool good = true;
  for (int run = begun++; run < options.runs; run = begun++) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(run);
    const acme_agent::sim::Result result = acme_agent::sim::simulate(
        seed, {std::chrono::hours(8766) * options.years, options.trouble / 100.0, options.local, options.verbose});
    sum.passes += result.passes;
    sum.requests += result.requests;
    sum.issued += result.issued;
    sum.expired += result.expired;
    sum.crashes += result.crashes;
    sum.household.add(result.household);
    if (result.verdict.empty()) continue;
    good = false;
    std::printf("seed %llu failed %s\n  replay: acme-agent-sim --seed %llu --years %d --trouble %d%s --verbose\n",
                static_cast<unsigned long long>(seed), result.verdict.c_str(), static_cast<unsigned long long>(seed),
                options.years, options.trouble, options.local ? " --local" : "");
    std::fflush(stdout);
    if (options.first) break;
  }
  std::printf("%d passes, %d requests, %d certificates, %d of them expired as faults lasted too long, %d deaths\n",
              sum.passes, sum.requests, sum.issued, sum.expired, sum.crashes);
  if (options.local) {
    const acme_agent::sim::HouseholdCounts& of = sum.household;
    std::printf(
        "%d roll-overs of a root, %d of the issuer of servers, %d of that of devices; %d certificates of "
        "devices, %d of them revoked; %d roots given to clients; %d good verdicts; the owner came %d times\n",
        of.roots, of.servers, of.device_issuers, of.devices, of.revoked, of.clients, of.verdicts, of.forced);
  }
  std::fflush(stdout);
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read(argc, argv);
  std::atomic<int>& begun = runs_begun();
  std::vector<pid_t> children;
  for (int job = 1; job < options.jobs; ++job) {
    const pid_t child = ::fork();
    if (child == 0) std::exit(play(options, begun) ? 0 : 1);
    children.push_back(child);
  }
  bool good = play(options, begun);
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    good = good && status == 0;
  }
  return good ? 0 : 1;
}
