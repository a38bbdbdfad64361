#pragma once

#include <pthread.h>
#include <signal.h>

namespace acme_agent::test {

/// Puts the signal mask and the disposition of SIGPIPE back.
class KeepSignals {
 public:
  KeepSignals() {
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_);
    ::sigaction(SIGPIPE, nullptr, &pipe_);
  }
  ~KeepSignals() {
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    ::sigaction(SIGPIPE, &pipe_, nullptr);
  }
  KeepSignals(const KeepSignals&) = delete;
  KeepSignals& operator=(const KeepSignals&) = delete;

 private:
  sigset_t mask_{};
  struct sigaction pipe_ {};
};

}  // namespace acme_agent::test
