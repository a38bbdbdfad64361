#include "capabilities.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace acme_agent {
namespace {

// In two words, as in the times of 32 capabilities; libc has no functions for them.
using Words = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

__user_cap_header_struct of_this_thread() {
  return {_LINUX_CAPABILITY_VERSION_3, 0};
}

}  // namespace

std::uint64_t capabilities() noexcept {
  __user_cap_header_struct header = of_this_thread();
  Words words{};
  if (::syscall(SYS_capget, &header, words.data()) != 0) return 0;
  return words[0].permitted | std::uint64_t{words[1].permitted} << 32;
}

bool keep_capabilities(std::uint64_t kept) noexcept {
  kept &= capabilities();
  __user_cap_header_struct header = of_this_thread();
  Words words{};
  for (unsigned word = 0; word < words.size(); ++word)
    words[word].effective = words[word].permitted = static_cast<std::uint32_t>(kept >> 32 * word);
  return ::syscall(SYS_capset, &header, words.data()) == 0;
}

}  // namespace acme_agent
