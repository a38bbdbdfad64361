#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <mutex>

#include <acme_agent/control/control_socket.hpp>

#include "fuzz.hpp"
#include "support/temp_dir.hpp"

namespace acme_agent::fuzz {
namespace {

constexpr std::size_t longest_line = 4096;
constexpr std::size_t slack = 512;  ///< One read may go beyond.

/// What was asked last.
class Asked {
 public:
  void set(const std::string& request) {
    const std::lock_guard lock(mutex_);
    request_ = request;
  }
  std::optional<std::string> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(request_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::optional<std::string> request_;
};

/// All that the server says to somebody who says `text` and then hangs up.
std::string converse(const std::filesystem::path& path, std::string_view text) {
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  expect(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
         "the server listens");
  ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
  ::shutdown(socket.get(), SHUT_WR);
  std::string reply;
  std::array<char, 4096> part;
  for (ssize_t got = 0; (got = ::recv(socket.get(), part.data(), part.size(), 0)) > 0;) {
    reply.append(part.data(), static_cast<std::size_t>(got));
  }
  return reply;
}

}  // namespace

void one_input(std::string_view input) {
  static Asked asked;
  static const test::TempDir folder;
  static const std::filesystem::path path = folder / "control.sock";
  static const ControlServer server(path, [](const std::string& request, const std::stop_token&) {
    asked.set(request);
    return "yes";
  });

  const std::string reply = converse(path, input);
  const std::size_t end = input.find('\n');
  const std::optional<std::string> request = asked.take();
  expect(request.has_value() == (reply == "yes\n"), "who is heard gets the answer", reply);
  if (request) expect(*request == input.substr(0, end), "the line is what is asked", *request);
  if (request) expect(request->size() <= longest_line + slack, "no line is longer than 4 KiB");
  if (end == std::string_view::npos) expect(!request, "half a line asks nothing");
  if (end <= longest_line) expect(request.has_value(), "a line is heard");
}

}  // namespace acme_agent::fuzz
