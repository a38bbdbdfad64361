#include "event.hpp"

#include <errno.h>
#include <sys/eventfd.h>

namespace acme_agent {

Event::Event() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!descriptor_.valid()) throw_errno("cannot make", "an event", errno);
}

void Event::set() noexcept {
  ::eventfd_write(descriptor_.get(), 1);
}

}  // namespace acme_agent
