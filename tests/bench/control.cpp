// A program with the libraries of acme-agent that fetches one page: what such a program costs before it does anything
// of its own. The build links all of them, used or not.

#include <curl/curl.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace {

std::size_t append(const char* data, std::size_t size, std::size_t count, void* text) {
  static_cast<std::string*>(text)->append(data, size * count);
  return size * count;
}

std::string fetch(const std::string& url, const std::string& ca_file) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  std::string body;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  if (!ca_file.empty()) curl_easy_setopt(curl.get(), CURLOPT_CAINFO, ca_file.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "control");  // RFC 8555 6.1
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) throw std::runtime_error(curl_easy_strerror(code));
  return body;
}

}  // namespace

int main(int count, char** arguments) {
  namespace options = boost::program_options;
  options::options_description known;
  known.add_options()("url", options::value<std::string>()->required())  //
      ("ca-file", options::value<std::string>()->default_value(""))      //
      ("stay", options::bool_switch());
  try {
    options::variables_map given;
    options::store(options::parse_command_line(count, arguments, known), given);
    options::notify(given);
    const auto directory =
        nlohmann::json::parse(fetch(given["url"].as<std::string>(), given["ca-file"].as<std::string>()));
    std::puts(directory.at("newOrder").get<std::string>().c_str());
    std::fflush(stdout);
    if (given["stay"].as<bool>()) ::pause();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "control: %s\n", error.what());
    return 1;
  }
  return 0;
}
