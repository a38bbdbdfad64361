#include <utility>

#include <acme_agent/broker/reloader.hpp>
#include <acme_agent/sys/systemd.hpp>

namespace acme_agent {
namespace {

constexpr Duration look_timeout = std::chrono::seconds(2);

class SystemdReloader final : public Reloader {
 public:
  SystemdReloader(std::string unit, Duration timeout, const Processes& processes)
      : unit_(std::move(unit)), timeout_(timeout), processes_(processes) {}

  std::string describe() const override { return "systemd:" + unit_; }

  std::vector<Process> targets() const override {
    // Where we do not see systemd, as in a container with its bus, the number means another process to us.
    const std::optional<Process> first = processes_.find(1);
    if (!first || (first->name != "systemd" && first->name != "init")) return {};
    const std::optional<Process> main = processes_.find(main_pid_of_service(unit_, look_timeout, std::stop_token()));
    return main ? std::vector{*main} : std::vector<Process>{};
  }

  bool reload(const Deployed&, const std::stop_token& stop) override {
    reload_service(unit_, timeout_, stop);
    return true;
  }

  bool restart(const std::stop_token& stop) override {
    restart_service(unit_, timeout_, stop);
    return true;
  }

 private:
  const std::string unit_;
  const Duration timeout_;
  const Processes& processes_;
};

}  // namespace

std::unique_ptr<Reloader> reload_systemd(std::string unit, Duration timeout, const Processes& processes) {
  return std::make_unique<SystemdReloader>(std::move(unit), timeout, processes);
}

}  // namespace acme_agent
