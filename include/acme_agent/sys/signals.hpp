#pragma once

#include <functional>
#include <thread>

namespace acme_agent {

/// Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1 and ignores SIGPIPE for this thread and all that it starts. Call it before the first thread.
void block_signals();

/// Takes blocked signals in a thread of its own (sigwait) and hands each to `handler`, until destroyed.
class SignalThread {
 public:
  explicit SignalThread(std::function<void(int number)> handler);
  ~SignalThread();

 private:
  std::thread thread_;
};

}  // namespace acme_agent
