#include "reader_group.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <acme_agent/base/error.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {

std::optional<gid_t> reader_group(const std::vector<Process>& readers, std::optional<gid_t> mosquitto,
                                  const Process& self) {
  const auto may_give = [&self](gid_t group) {
    return self.uid == 0 || self.gives_files_away || self.gid == group ||
           std::find(self.groups.begin(), self.groups.end(), group) != self.groups.end();
  };
  for (const Process& reader : readers) {
    // Who only calls a process of his like the broker would get the key.
    if (!reader.of_other_person && may_give(reader.gid)) return reader.gid;
  }
  if (mosquitto && may_give(*mosquitto)) return mosquitto;
  return std::nullopt;
}

std::optional<gid_t> mosquitto_group() {
  try {
    return parse_owner("0:mosquitto", 0).gid;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Process own_process() {
  Process self;
  self.pid = ::getpid();
  self.uid = ::geteuid();
  self.gid = ::getegid();
  self.groups.resize(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
  self.groups.resize(
      static_cast<std::size_t>(std::max(::getgroups(static_cast<int>(self.groups.size()), self.groups.data()), 0)));
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) == 0)
    self.gives_files_away = (sets[0].effective & (1U << CAP_CHOWN)) != 0;
  return self;
}

}  // namespace acme_agent
