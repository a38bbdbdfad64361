#include <algorithm>
#include <map>

#include <acme_agent/authority/renewal_due.hpp>

namespace acme_agent {
namespace {

constexpr Duration longest_notice = std::chrono::hours(24) * 60;

}  // namespace

std::set<std::string> renewal_due(const std::vector<IssuedDevice>& all, TimePoint now) {
  std::map<std::string, TimePoint> ends;
  for (const IssuedDevice& device : all) {
    if (device.revoked) continue;
    TimePoint& end = ends.try_emplace(device.name, device.validity.not_after).first->second;
    end = std::max(end, device.validity.not_after);
  }
  std::set<std::string> due;
  for (const IssuedDevice& device : all) {
    const TimePoint end = device.validity.not_after;
    if (device.revoked || end < now || end < ends[device.name]) continue;
    if (end - now < std::min<Duration>(longest_notice, device.validity.lifetime() / 3)) due.insert(device.serial);
  }
  return due;
}

}  // namespace acme_agent
