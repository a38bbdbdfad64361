#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include <acme_agent/alert/alarm.hpp>
#include <acme_agent/base/dates.hpp>
#include <acme_agent/sys/file.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr int version = 1;
constexpr std::size_t largest_file = 16 << 20;

Duration wait_after(int failures) {
  constexpr std::array<Duration, 4> ladder = {1min, 10min, 60min, 6h};
  return ladder.at(std::min<std::size_t>(static_cast<std::size_t>(failures), ladder.size()) - 1);
}

void put(nlohmann::json& json, const char* key, const std::optional<TimePoint>& time) {
  if (time) json[key] = format_rfc3339(*time);
}

std::optional<TimePoint> time_in(const nlohmann::json& json, const char* key) {
  return json.contains(key) ? parse_rfc3339(json.at(key).get<std::string>()) : std::nullopt;
}

}  // namespace

Alarm::Alarm(std::vector<std::unique_ptr<Channel>> channels, std::filesystem::path file, std::string host,
             const Clock& clock, Log& log)
    : file_(std::move(file)), host_(std::move(host)), clock_(clock), log_(log) {
  for (std::unique_ptr<Channel>& channel : channels) lines_.push_back({std::move(channel), 0, std::nullopt});
  load();
}

void Alarm::look(const Reports& reports, const std::stop_token& stop) {
  std::map<std::string, Lasting> lasting;
  for (const Report& report : reports.certificates)
    if (const Lasting now = observe(lasting_[report.name], report, reports.now); now.not_served || now.missing)
      lasting[report.name] = now;
  lasting_ = std::move(lasting);
  std::map<std::string, HeardByName> heard;  // of channels that are still there
  for (const Line& line : lines_) heard[line.channel->id()] = std::move(heard_[line.channel->id()]);
  heard_ = std::move(heard);
  for (Line& line : lines_)
    if (!line.not_before || *line.not_before <= clock_.uptime()) tell(line, reports, stop);
  save();
}

void Alarm::tell(Line& line, const Reports& reports, const std::stop_token& stop) {
  HeardByName& heard = heard_[line.channel->id()];
  HeardByName then;
  std::vector<News> news;
  for (const Report& report : reports.certificates) {
    const auto lasting = lasting_.find(report.name);
    const Trouble trouble = trouble_of(report, lasting == lasting_.end() ? Lasting() : lasting->second, reports.now);
    const auto known = heard.find(report.name);
    Told told = known == heard.end() ? Told() : known->second;
    if (is_news(told, report, trouble, reports.now)) {
      news.push_back({&report, trouble});
      told = after_telling(told, report, trouble, reports.now);
    }
    if (told.trouble != Trouble::none || told.not_served) then[report.name] = told;
  }
  try {
    if (!news.empty()) {
      const Alert alert = alert_of(news, host_, reports.now);
      line.channel->tell(alert, stop);
      log_.info("told " + line.channel->describe() + ": " + alert.title);
    }
  } catch (const Error& error) {
    ++line.failures;
    const Duration wait = wait_after(line.failures);
    line.not_before = clock_.uptime() + wait;
    log_.error("cannot tell " + line.channel->describe() + " about certificates: " + error.message() +
               "; tried again in " + describe(wait) + " at the earliest");
    return;
  }
  heard = std::move(then);
  line.failures = 0;
  line.not_before.reset();
}

std::optional<Duration> Alarm::try_again_at() const {
  std::optional<Duration> first;
  for (const Line& line : lines_)
    if (line.not_before && (!first || *line.not_before < *first)) first = line.not_before;
  return first;
}

void Alarm::load() {
  const std::optional<Secret> text = read_file(file_, largest_file);
  if (!text) return;
  try {
    const nlohmann::json json = nlohmann::json::parse(text->reveal());
    if (json.at("version").get<int>() > version)
      throw Error(Remedy::ask_operator, file_.string() + " was written by a newer version of acme-agent: use that one");
    for (const auto& [name, one] : json.at("lasting").items())
      lasting_[name] = {time_in(one, "not_served"), time_in(one, "missing")};
    for (const auto& [channel, certificates] : json.at("told").items())
      for (const auto& [name, one] : certificates.items())
        heard_[channel][name] = {parse_trouble(one.at("trouble").get<std::string>()).value_or(Trouble::none),
                                 one.value("fingerprint", ""), time_in(one, "not_served")};
    saved_ = text->reveal();
  } catch (const nlohmann::json::exception&) {
    lasting_.clear();
    heard_.clear();
    std::error_code ignored;
    std::filesystem::rename(file_, file_.string() + ".damaged", ignored);
    log_.warning(file_.string() + " was damaged and is kept beside: somebody may be told of a trouble twice");
  }
}

void Alarm::save() {
  nlohmann::json json{{"version", version}, {"lasting", nlohmann::json::object()}, {"told", nlohmann::json::object()}};
  for (const auto& [name, lasting] : lasting_) {
    nlohmann::json& one = json["lasting"][name] = nlohmann::json::object();
    put(one, "not_served", lasting.not_served);
    put(one, "missing", lasting.missing);
  }
  for (const auto& [channel, certificates] : heard_)
    for (const auto& [name, told] : certificates) {
      nlohmann::json& one = json["told"][channel][name];
      one = {{"trouble", to_string(told.trouble)}, {"fingerprint", told.fingerprint}};
      put(one, "not_served", told.not_served);
    }
  std::string text = json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text == saved_) return;
  try {
    write_file(file_, text, {std::nullopt, std::nullopt, 0600}, Sync::content);
    saved_ = std::move(text);
  } catch (const Error& error) {
    log_.warning(error.message() + ": after a restart somebody may be told of a trouble twice");
  }
}

}  // namespace acme_agent
