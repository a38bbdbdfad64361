#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <utility>

#include <acme_agent/sys/signals.hpp>

namespace acme_agent {
namespace {

sigset_t taken_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) ::sigaddset(&signals, number);
  return signals;
}

void take_signals(int signals, int end, const std::function<void(int)>& handler) {
  std::array<pollfd, 2> waiting = {{{signals, POLLIN, 0}, {end, POLLIN, 0}}};
  while (true) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
    if (waiting[1].revents != 0) return;
    signalfd_siginfo signal{};
    if (::read(signals, &signal, sizeof signal) == sizeof signal) handler(static_cast<int>(signal.ssi_signo));
  }
}

}  // namespace

void block_signals() {
  const sigset_t signals = taken_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

SignalThread::SignalThread(std::function<void(int number)> handler) {
  const sigset_t signals = taken_signals();
  signals_ = FileDescriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) throw_errno("cannot take", "signals", errno);
  end_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!end_.valid()) throw_errno("cannot make", "an event", errno);
  thread_ = std::thread([this, handler = std::move(handler)] { take_signals(signals_.get(), end_.get(), handler); });
}

SignalThread::~SignalThread() {
  ::eventfd_write(end_.get(), 1);
  thread_.join();
}

}  // namespace acme_agent
