#pragma once

#include <functional>
#include <thread>

#include <acme_agent/sys/file.hpp>

namespace acme_agent {

/// Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1 and ignores SIGPIPE for this thread and all that it starts. Call it before
/// the first thread.
void block_signals();

/// Takes the signals that block_signals() blocked in a thread of its own and hands each to `handler`, until destroyed.
class SignalThread {
 public:
  explicit SignalThread(std::function<void(int number)> handler);
  ~SignalThread();

 private:
  FileDescriptor signals_;
  FileDescriptor end_;
  std::thread thread_;
};

}  // namespace acme_agent
