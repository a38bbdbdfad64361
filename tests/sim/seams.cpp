// What the linker puts in the place of the system's: threads run one after the other, random numbers are drawn from the
// seed, and a crash may come wherever the agent creates or syncs a file. The product has no hook for any of it.

#define OPENSSL_SUPPRESS_DEPRECATED
#include "seams.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>
#include <map>
#include <string>
#include <string_view>

#include <acme_agent/crypto/certificate.hpp>
#include <acme_agent/crypto/private_key.hpp>

#include "world.hpp"

namespace {

acme_agent::sim::Dice random_bytes(0);

int draw(unsigned char* buffer, int count) {
  for (int i = 0; i < count; ++i) buffer[i] = static_cast<unsigned char>(random_bytes.next() >> 32);
  return 1;
}
int always() {
  return 1;
}

const RAND_METHOD from_the_seed{nullptr, draw, nullptr, nullptr, draw, always};

struct Started {
  void* (*run)(void*);
  void* argument;
  sem_t ended;
};

}  // namespace

// A thread has ended when its creator goes on, so that a seed plays the same way each time.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                              void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
  Started started{run, argument, {}};
  ::sem_init(&started.ended, 0, 0);
  const auto body = [](void* pointer) -> void* {
    auto& mine = *static_cast<Started*>(pointer);
    void* const result = mine.run(mine.argument);
    ::sem_post(&mine.ended);
    return result;
  };
  const int failure = create(thread, attributes, body, &started);
  while (failure == 0 && ::sem_wait(&started.ended) != 0) {
  }
  ::sem_destroy(&started.ended);
  return failure;
}

extern "C" int fsync(int) {
  if (acme_agent::sim::current_world != nullptr) acme_agent::sim::current_world->step();
  return 0;
}

extern "C" int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (acme_agent::sim::current_world != nullptr && (flags & O_EXCL) != 0) acme_agent::sim::current_world->step();
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

// Keys and chains are what the time would go into: an RSA key is made once and used again in turn, and what was read or
// checked before is not parsed or checked again.
acme_agent::PrivateKey make_key(acme_agent::KeyType type) asm(
    "__real__ZN10acme_agent10PrivateKey8generateENS_7KeyTypeE");
acme_agent::PrivateKey cached_key(acme_agent::KeyType type) asm(
    "__wrap__ZN10acme_agent10PrivateKey8generateENS_7KeyTypeE");
acme_agent::PrivateKey parse_key(const acme_agent::Secret& pem) asm(
    "__real__ZN10acme_agent10PrivateKey8from_pemERKNS_6SecretE");
acme_agent::PrivateKey parsed_key(const acme_agent::Secret& pem) asm(
    "__wrap__ZN10acme_agent10PrivateKey8from_pemERKNS_6SecretE");
acme_agent::CertificateChain parse_chain(std::string_view pem) asm(
    "__real__ZN10acme_agent16CertificateChain8from_pemESt17basic_string_viewIcSt11char_traitsIcEE");
acme_agent::CertificateChain parsed_chain(std::string_view pem) asm(
    "__wrap__ZN10acme_agent16CertificateChain8from_pemESt17basic_string_viewIcSt11char_traitsIcEE");
bool check_signature(const acme_agent::Certificate& certificate,
                     const acme_agent::Certificate& issuer) asm("__real__ZNK10acme_agent11Certificate9signed_byERKS0_");
bool checked_signature(const acme_agent::Certificate& certificate, const acme_agent::Certificate& issuer) asm(
    "__wrap__ZNK10acme_agent11Certificate9signed_byERKS0_");

namespace {

template <class T>
using Known = std::map<std::string, T, std::less<>>;
Known<acme_agent::PrivateKey> known_keys;
Known<acme_agent::CertificateChain> known_chains;
Known<bool> known_signatures;
std::map<std::uint64_t, acme_agent::Secret> made_keys;

/// What `make` makes, from memory where it is known; random numbers are drawn alike in both cases.
template <class Key, class T, class Make>
T remembered(std::map<Key, T, std::less<>>& known, const Key& what, Make make) {
  const auto found = known.find(what);
  if (found != known.end()) return found->second;
  const acme_agent::sim::Dice before = random_bytes;
  T made = make();
  random_bytes = before;
  if (known.size() >= 64) known.clear();
  known.emplace(what, made);
  return made;
}

}  // namespace

namespace acme_agent::sim {

void seed_random_bytes(std::uint64_t seed) {
  RAND_set_rand_method(&from_the_seed);
  random_bytes = Dice(seed ^ 0x5eedu);
  known_keys.clear();
  known_chains.clear();
  known_signatures.clear();
}

}  // namespace acme_agent::sim

acme_agent::PrivateKey cached_key(acme_agent::KeyType type) {
  if (!acme_agent::is_rsa(type)) return make_key(type);
  const std::uint64_t number = random_bytes.next() % 3;
  auto found = made_keys.find(number);
  if (found == made_keys.end()) {
    const acme_agent::sim::Dice before = random_bytes;
    random_bytes = acme_agent::sim::Dice(number);
    found = made_keys.emplace(number, make_key(type).to_pem()).first;
    random_bytes = before;
  }
  return parsed_key(found->second);
}

acme_agent::PrivateKey parsed_key(const acme_agent::Secret& pem) {
  return remembered(known_keys, std::string(pem.reveal()), [&] { return parse_key(pem); });
}

acme_agent::CertificateChain parsed_chain(std::string_view pem) {
  return remembered(known_chains, std::string(pem), [&] { return parse_chain(pem); });
}

bool checked_signature(const acme_agent::Certificate& certificate, const acme_agent::Certificate& issuer) {
  return remembered(known_signatures, certificate.der() + issuer.der(),
                    [&] { return check_signature(certificate, issuer); });
}
