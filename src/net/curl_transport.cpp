#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <system_error>

#include <acme_agent/base/dates.hpp>
#include <acme_agent/base/entries.hpp>
#include <acme_agent/base/free.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/crypto/root_bundle.hpp>
#include <acme_agent/net/curl_transport.hpp>

namespace acme_agent {
namespace {

constexpr std::size_t largest_body = 1024 * 1024;
constexpr std::size_t largest_headers = 64 * 1024;
constexpr const char* system_roots = "/etc/ssl/certs";
constexpr const char* proxy_variables[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

using Multi = std::unique_ptr<CURLM, Free<curl_multi_cleanup>>;
using Easy = std::unique_ptr<CURL, Free<curl_easy_cleanup>>;
using Url = std::unique_ptr<CURLU, Free<curl_url_cleanup>>;
using CurlText = std::unique_ptr<char, Free<curl_free>>;
using HeaderList = std::unique_ptr<curl_slist, Free<curl_slist_free_all>>;

void start_curl() {
  static std::once_flag started;
  std::call_once(started, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw Error(Remedy::retry, "libcurl does not start");
  });
}

std::string part_of(const Url& url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
  return CurlText(text).get();
}

Url parse_url(const std::string& text, bool plain_http) {
  Url url(curl_url());
  if (!url) throw std::bad_alloc();
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  const std::string scheme = part_of(url, CURLUPART_SCHEME);
  if (plain_http && code == CURLUE_OK && scheme == "http") return url;
  if (code == CURLUE_UNSUPPORTED_SCHEME || (code == CURLUE_OK && scheme != "https")) {
    throw Error(Remedy::ask_operator,
                "cannot use " + printable(text) + ": the URL of an ACME server starts with https://");
  } else if (code != CURLUE_OK) {
    throw Error(Remedy::ask_operator, "\"" + printable(text) + "\" is no URL: " + curl_url_strerror(code));
  }
  return url;
}

void append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

/// What curl's callbacks fill.
struct Incoming {
  std::string body;
  std::size_t header_bytes = 0;
  bool too_large = false;
};

std::size_t receive_body(char* data, std::size_t, std::size_t size, void* to) noexcept {
  auto& incoming = *static_cast<Incoming*>(to);
  incoming.too_large = size > largest_body - incoming.body.size();
  if (incoming.too_large) return CURL_WRITEFUNC_ERROR;
  try {
    incoming.body.append(data, size);
  } catch (...) {
    return CURL_WRITEFUNC_ERROR;
  }
  return size;
}

std::size_t count_header(char*, std::size_t, std::size_t size, void* to) noexcept {
  auto& incoming = *static_cast<Incoming*>(to);
  incoming.header_bytes += size;
  incoming.too_large = incoming.header_bytes > largest_headers;
  return incoming.too_large ? CURL_WRITEFUNC_ERROR : size;
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

/// OpenSSL looks a root up by the hash of its name where `directory` has such links; not every system makes them.
bool has_hashed_roots(const std::filesystem::path& directory) {
  std::error_code failed;
  const std::vector<std::filesystem::path> entries = entries_of(directory, failed);
  return std::any_of(entries.begin(), entries.end(), [](const std::filesystem::path& entry) {
    const std::string name = entry.filename();
    return name.size() == 10 && name.ends_with(".0") && name.find_first_not_of("0123456789abcdef") == 8;
  });
}

CURLcode install(CURL*, void* ssl_context, void* bundle) noexcept {
  static_cast<const RootBundle*>(bundle)->install_in(ssl_context);
  return CURLE_OK;
}

/// Whether curl hands OpenSSL's SSL_CTX to a callback, and that of the server only: for a proxy with TLS, too, it would
/// ask the same one.
bool can_install_roots() {
  const auto names_tls_proxy = [](const char* variable) {
    const char* url = ::getenv(variable);
    return url != nullptr && lower_case(url).starts_with("https:");
  };
  const std::string library = curl_version_info(CURLVERSION_NOW)->ssl_version;
  return library.starts_with("OpenSSL") &&
         std::none_of(std::begin(proxy_variables), std::end(proxy_variables), names_tls_proxy);
}

/// Whom to trust: the file `bundle`, which is in `roots` if these can be installed. By default curl would read the
/// whole bundle of the system for every connection.
void set_roots(CURL* easy, const std::optional<std::filesystem::path>& bundle, const std::optional<RootBundle>& roots) {
  if (roots) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, nullptr);
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, install);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, &*roots);
  } else if (bundle) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, bundle->c_str());
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  } else if (static const bool hashed = has_hashed_roots(system_roots); hashed) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, nullptr);
    curl_easy_setopt(easy, CURLOPT_CAPATH, system_roots);
  }
}

template <class T>
T info(CURL* easy, CURLINFO what) {
  T value{};
  curl_easy_getinfo(easy, what, &value);
  return value;
}

/// Why a certificate was refused: OpenSSL's numbers (X509_V_ERR_...), which never change.
Error untrusted(CURL* easy, const std::string& origin, const std::string& detail, const std::string& advice) {
  constexpr long not_yet_valid = 9;
  constexpr long expired = 10;
  const long verdict = info<long>(easy, CURLINFO_SSL_VERIFYRESULT);
  constexpr std::string_view preamble = "SSL certificate problem: ";
  const bool chain = detail.starts_with(preamble);
  const std::string why = printable(chain ? detail.substr(preamble.size()) : detail);
  if (chain && (verdict == not_yet_valid || verdict == expired)) {
    return Error(Remedy::retry, "the certificate of " + origin + " is not valid now (" + why +
                                    "): see whether the clock of this machine is right");
  }
  if (!chain) {
    return Error(Remedy::ask_operator, "the certificate of " + origin + " is for another host (" + why +
                                           "): correct the URL or the certificate of the server");
  }
  return Error(Remedy::ask_operator, "the certificate of " + origin + " is not trusted (" + why + "): " + advice);
}

Error failure(CURL* easy, CURLcode code, const Url& url, const Incoming& incoming,
              const CurlTransport::Options& options, const std::string& curl_says) {
  const std::string host = part_of(url, CURLUPART_HOST);
  const std::string port = part_of(url, CURLUPART_PORT);
  const std::string place = options.unix_socket ? printable(options.unix_socket->native()) : host + ":" + port;
  const std::string detail = curl_says.empty() ? curl_easy_strerror(code) : curl_says;
  if (incoming.too_large) {
    return Error(Remedy::retry, "the answer of " + place + " is too large (a body may have 1 MiB, its headers 64 KiB)");
  }
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return Error(Remedy::retry,
                   "cannot find the address of " + host + ": there is no such name, or no name server answers");
    case CURLE_COULDNT_CONNECT: {
      const int cause = static_cast<int>(info<long>(easy, CURLINFO_OS_ERRNO));
      std::string why = cause != 0 ? std::generic_category().message(cause) : printable(detail);
      const bool of_proxy = !options.unix_socket && detail.find(host + " port " + port) == std::string::npos;
      if (cause != 0 && of_proxy) why += " (" + printable(detail) + ")";
      return Error(Remedy::retry, "cannot reach " + place + ": " + why);
    }
    case CURLE_OPERATION_TIMEDOUT: {
      const bool connected = info<curl_off_t>(easy, CURLINFO_PRETRANSFER_TIME_T) != 0;
      return Error(Remedy::retry, connected ? place + " did not answer within " + describe(options.timeout)
                                            : "cannot reach " + place + ": no connection within " +
                                                  describe(std::min(options.connect_timeout, options.timeout)));
    }
    case CURLE_PEER_FAILED_VERIFICATION:
      return untrusted(easy, "https://" + place, detail, options.trust_advice);
    case CURLE_SSL_CACERT_BADFILE:
      return Error(Remedy::ask_operator, "cannot read the trusted certificates: " + printable(detail));
    case CURLE_SSL_CONNECT_ERROR:
      return Error(Remedy::retry,
                   "cannot speak TLS with " + place + " (" + printable(detail) + "): is it an HTTPS server?");
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
      return Error(Remedy::retry, place + " closed the connection before its answer was whole");
    default:
      return Error(Remedy::retry, "no answer from " + place + ": " + printable(detail));
  }
}

}  // namespace

struct CurlTransport::Handles {
  explicit Handles(const Options& options) : multi(curl_multi_init()), easy(curl_easy_init()) {
    if (!multi || !easy) throw std::bad_alloc();
    if (options.ca_bundle && can_install_roots()) roots.emplace(*options.ca_bundle);
  }

  CURLcode transfer(const std::stop_token& stop);

  std::optional<RootBundle> roots;
  Multi multi;  // keeps the connections, which point to `roots`
  Easy easy;    // goes before `multi`
};

/// Runs what is set in `easy` to its end. Throws Stopped as soon as `stop` is requested.
CURLcode CurlTransport::Handles::transfer(const std::stop_token& stop) {
  struct Adding {
    Adding(CURLM* m, CURL* e) : multi(m), easy(e) {
      if (const CURLMcode code = curl_multi_add_handle(multi, easy); code != CURLM_OK) {
        throw Error(Remedy::retry, std::string("libcurl: ") + curl_multi_strerror(code));
      }
    }
    ~Adding() { curl_multi_remove_handle(multi, easy); }
    CURLM* multi;
    CURL* easy;
  };
  constexpr int longest_poll_ms = 60'000;  // curl ends it for its own deadlines, and a stop does

  const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi.get()); });
  const Adding adding(multi.get(), easy.get());
  while (true) {
    if (stop.stop_requested()) throw Stopped{};
    int running = 0;
    CURLMcode code = curl_multi_perform(multi.get(), &running);
    if (code == CURLM_OK && running == 0) break;
    if (code == CURLM_OK) code = curl_multi_poll(multi.get(), nullptr, 0, longest_poll_ms, nullptr);
    if (code != CURLM_OK) throw Error(Remedy::retry, std::string("libcurl: ") + curl_multi_strerror(code));
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(multi.get(), &left);
  return message != nullptr ? message->data.result : CURLE_FAILED_INIT;
}

CurlTransport::CurlTransport(Options options) : options_(std::move(options)) {}

CurlTransport::~CurlTransport() = default;

Response CurlTransport::send(const Request& request, const std::stop_token& stop) {
  const Url url = parse_url(request.url, options_.plain_http);
  if (!handles_) {
    start_curl();
    handles_ = std::make_unique<Handles>(options_);
  }
  CURL* easy = handles_->easy.get();
  std::array<char, CURL_ERROR_SIZE> curl_says{};
  Incoming incoming;
  HeaderList headers;
  append(headers, "Accept-Language: en");  // RFC 8555 6.1
  append(headers, "Expect:");
  if (request.method == Request::Method::post) append(headers, "Content-Type: " + request.content_type);

  // What is set below points into this function.
  const std::unique_ptr<CURL, Free<curl_easy_reset>> reset_at_end(easy);
  curl_easy_setopt(easy, CURLOPT_CURLU, url.get());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, options_.plain_http ? "http,https" : "https");
  if (options_.direct) curl_easy_setopt(easy, CURLOPT_PROXY, "");
  if (options_.unix_socket) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options_.unix_socket->c_str());
  // One request at a time takes half as long as over HTTP/2.
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  set_roots(easy, options_.ca_bundle, handles_->roots);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // a name server that hangs does not hold a stop
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  if (request.method == Request::Method::post) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  } else if (request.method == Request::Method::head) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  }
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, curl_says.data());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &incoming);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, count_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &incoming);

  const CURLcode code = handles_->transfer(stop);
  if (code != CURLE_OK) throw failure(easy, code, url, incoming, options_, curl_says.data());

  Response response;
  response.status = static_cast<int>(info<long>(easy, CURLINFO_RESPONSE_CODE));
  response.body = std::move(incoming.body);
  for (curl_header* header = nullptr; (header = curl_easy_nextheader(easy, CURLH_HEADER, -1, header)) != nullptr;) {
    response.headers.emplace(lower_case(header->name), header->value);
  }
  return response;
}

std::optional<std::string> curl_warning() {
  return curl_warning(curl_version_info(CURLVERSION_NOW)->version);
}

std::optional<std::string> curl_warning(std::string_view version) {
  const std::string sentence = "libcurl " + std::string(version);
  if (version == "8.11.1") return sentence + " may close a file that is not its own (CVE-2025-0665): update it";
  if (version == "8.9.1") return sentence + " may end the program with SIGPIPE when a server goes away: update it";
  return std::nullopt;
}

}  // namespace acme_agent
