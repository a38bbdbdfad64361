#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <acme_agent/net/transport.hpp>

namespace acme_agent {

/// Clients of one server, with their open connections, that go from one certificate to the next. They are kept only as
/// long as any is in use: an agent at rest has no connection open. Safe from every thread.
class ConnectionPool : public std::enable_shared_from_this<ConnectionPool> {
 public:
  using Connect = std::function<std::unique_ptr<Transport>()>;

  explicit ConnectionPool(Connect connect) : connect_(std::move(connect)) {}

  /// A client for one user, who gives it back by destroying it. Throws what connecting throws.
  std::unique_ptr<Transport> take();

 private:
  class Lent;
  std::unique_ptr<Transport> take_free();
  void give_back(std::unique_ptr<Transport> transport) noexcept;

  const Connect connect_;
  std::mutex mutex_;
  std::size_t in_use_ = 0;
  std::vector<std::unique_ptr<Transport>> free_;
};

}  // namespace acme_agent
