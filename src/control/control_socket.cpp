#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <list>
#include <system_error>

#include <acme_agent/base/error.hpp>
#include <acme_agent/base/text.hpp>
#include <acme_agent/control/control_socket.hpp>

namespace acme_agent {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t longest_line = 4096;
constexpr std::size_t most_conversations = 16;

/// The socket's address by way of its open folder, so that its length does not matter.
struct Address {
  explicit Address(const std::filesystem::path& path)
      : folder(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    value.sun_family = AF_UNIX;
    const std::string text = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + path.filename().string();
    text.copy(value.sun_path, sizeof value.sun_path - 1);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&value); }

  FileDescriptor folder;
  sockaddr_un value{};
};

FileDescriptor new_socket(int more_flags = 0) {
  return FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | more_flags, 0));
}

void send_line(int fd, std::string_view line) {
  const std::string text = std::string(line) + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

/// A line without its end; nothing if the peer hangs up or writes too much before that.
std::optional<std::string> receive_line(int fd) {
  std::string line;
  char buffer[512];
  while (line.size() <= longest_line) {
    const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    line.append(buffer, static_cast<std::size_t>(got));
    if (const std::size_t end = line.find('\n'); end != std::string::npos) return line.substr(0, end);
  }
  return std::nullopt;
}

}  // namespace

ControlServer::ControlServer(std::filesystem::path path, Handler handler)
    : path_(std::move(path)), handler_(std::move(handler)), socket_(new_socket(SOCK_NONBLOCK)) {
  const Address address(path_);
  ::unlink(path_.c_str());
  // The mode of the open socket becomes that of the file: it is never wider, not even for a moment.
  if (::fchmod(socket_.get(), 0600) != 0 || ::bind(socket_.get(), address.get(), sizeof address.value) != 0 ||
      ::listen(socket_.get(), 16) != 0)
    throw_errno("cannot listen for 'acme-agent renew' on", path_, errno);
  thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

ControlServer::~ControlServer() {
  thread_.request_stop();
  thread_.join();
  ::unlink(path_.c_str());
}

void ControlServer::serve(const std::stop_token& stop) {
  const FileDescriptor woken(::eventfd(0, EFD_CLOEXEC));
  const std::stop_callback wake(stop, [&woken] { ::eventfd_write(woken.get(), 1); });
  std::list<std::future<void>> conversations;

  while (!stop.stop_requested()) {
    pollfd ready[] = {{woken.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    ::poll(ready, 2, -1);
    conversations.remove_if([](const std::future<void>& one) { return one.wait_for(0s) == std::future_status::ready; });
    FileDescriptor caller(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!caller.valid() && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
      ::poll(ready, 1, 100);  // until one is free again
    if (!caller.valid() || conversations.size() >= most_conversations) continue;

    try {
      conversations.push_back(std::async(std::launch::async, [this, stop, accepted = std::move(caller)]() mutable {
        const FileDescriptor connection = std::move(accepted);  // hung up when answered, not when the future goes
        const timeval patience{.tv_sec = 5, .tv_usec = 0};
        ::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        const std::stop_callback hang_up(stop, [&] { ::shutdown(connection.get(), SHUT_RD); });
        if (const std::optional<std::string> request = receive_line(connection.get()))
          send_line(connection.get(), handler_(*request, stop));
      }));
    } catch (const std::system_error&) {  // no thread is left: the caller is hung up on
    }
  }
}

std::optional<std::string> ask_control(const std::filesystem::path& path, const std::string& request) {
  const Address address(path);
  const FileDescriptor connection = new_socket();
  if (::connect(connection.get(), address.get(), sizeof address.value) != 0) {
    if (errno == EACCES || errno == EPERM)
      throw Error(Remedy::ask_operator, "user " + std::to_string(::geteuid()) + " may not ask the agent at " +
                                            printable(path.native()) + ": run this as root, or as the agent's user");
    return std::nullopt;
  }
  send_line(connection.get(), request);
  return receive_line(connection.get());
}

}  // namespace acme_agent
