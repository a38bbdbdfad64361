#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <stop_token>
#include <thread>

#include <acme_agent/sys/folder_watch.hpp>
#include <acme_agent/sys/generations.hpp>

#include "support/temp_dir.hpp"

using namespace acme_agent;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

/// Whether a wait that is under way ends by what `change` does, long before its time is over.
bool wakes(FolderWatch& watch, const std::function<void()>& change) {
  const auto began = std::chrono::steady_clock::now();
  std::future<void> waiting = std::async(std::launch::async, [&] { watch.wait(20s, {}); });
  change();
  waiting.get();
  return std::chrono::steady_clock::now() - began < 15s;
}

void switch_generation(const fs::path& folder, const std::string& content) {
  GenerationFolder generations(folder);
  generations.activate(generations.prepare({{"fullchain.pem", Secret(content)}, {"privkey.pem", Secret(content)}}, {}));
}

}  // namespace

TEST_CASE("the switch to another generation is noticed at once") {
  const test::TempDir dir;
  switch_generation(dir.path(), "one");
  FolderWatch watch(dir.path());
  const std::string before = watch.stamp();
  CHECK_FALSE(before.empty());
  CHECK(wakes(watch, [&] { switch_generation(dir.path(), "two"); }));
  CHECK(watch.stamp() != before);
}

TEST_CASE("files that are written, replaced, added, taken away or given another mode are noticed at once") {
  const test::TempDir dir;
  write(dir / "a.pem", "a");
  write(dir / "b.pem", "b");
  FolderWatch watch(dir.path());
  const std::vector<std::function<void()>> changes = {[&] { write(dir / "a.pem", "other"); },
                                                      [&] {
                                                        write(dir / ".new", "a");
                                                        fs::rename(dir / ".new", dir / "a.pem");
                                                      },
                                                      [&] { write(dir / "c.pem", "c"); },
                                                      [&] { fs::remove(dir / "b.pem"); },
                                                      [&] { ::chmod((dir / "a.pem").c_str(), 0600); }};
  for (const auto& change : changes) {
    const std::string before = watch.stamp();
    CHECK(wakes(watch, change));
    CHECK(watch.stamp() != before);
  }
}

TEST_CASE("what the agent writes for itself, and folders, are no change") {
  const test::TempDir dir;
  switch_generation(dir.path(), "one");
  const FolderWatch watch(dir.path());
  const std::string before = watch.stamp();
  write(dir / "..told", "..1 812");
  write(dir / ".acme-agent.lock", "");
  fs::create_directory(dir / "folder");
  fs::create_symlink("nowhere", dir / "dangling");
  CHECK(watch.stamp() == before);
}

TEST_CASE("what a link leads to counts, wherever it is") {
  const test::TempDir dir;
  fs::create_directory(dir / "live");
  write(dir / "archive1.pem", "one");
  write(dir / "archive2.pem", "two");
  fs::create_symlink("../archive1.pem", dir / "live/cert.pem");
  FolderWatch watch(dir / "live");
  const std::string before = watch.stamp();
  CHECK(wakes(watch, [&] {
    fs::create_symlink("../archive2.pem", dir / "live/.new");
    fs::rename(dir / "live/.new", dir / "live/cert.pem");
  }));
  CHECK(watch.stamp() != before);
}

TEST_CASE("another folder in the place of the first is watched from then on") {
  const test::TempDir dir;
  fs::create_directory(dir / "certs");
  FolderWatch watch(dir / "certs");
  CHECK(watch.stamp().empty());
  fs::create_directory(dir / "next");
  CHECK(wakes(watch, [&] {
    fs::remove(dir / "certs");
    fs::rename(dir / "next", dir / "certs");
  }));
  watch.wait(0ms, {});  // the folder may have been gone when the first wait ended
  CHECK(wakes(watch, [&] { write(dir / "certs/a.pem", "a"); }));
  CHECK_FALSE(watch.stamp().empty());
}

TEST_CASE("a wait ends when its time is over, and at once on a stop") {
  const test::TempDir dir;
  FolderWatch watch(dir.path());
  const auto began = std::chrono::steady_clock::now();
  watch.wait(50ms, {});
  CHECK(std::chrono::steady_clock::now() - began >= 50ms);
  std::stop_source stop;
  std::future<void> waiting = std::async(std::launch::async, [&] { watch.wait(20s, stop.get_token()); });
  stop.request_stop();
  CHECK_THROWS_AS(waiting.get(), Stopped);
  CHECK(std::chrono::steady_clock::now() - began < 10s);
}
