#include <utility>

#include <acme_agent/net/connection_pool.hpp>

namespace acme_agent {

class ConnectionPool::Lent final : public Transport {
 public:
  Lent(std::shared_ptr<ConnectionPool> pool, std::unique_ptr<Transport> transport)
      : pool_(std::move(pool)), transport_(std::move(transport)) {}
  ~Lent() override { pool_->give_back(sound_ ? std::move(transport_) : nullptr); }

  Response send(const Request& request, const std::stop_token& stop) override {
    sound_ = false;  // unless it ends well: the next user shall not meet what went wrong here
    Response response = transport_->send(request, stop);
    sound_ = true;
    return response;
  }

 private:
  const std::shared_ptr<ConnectionPool> pool_;
  std::unique_ptr<Transport> transport_;
  bool sound_ = true;
};

std::unique_ptr<Transport> ConnectionPool::take() {
  std::unique_ptr<Transport> transport = take_free();
  if (!transport) transport = connect_();
  const std::lock_guard lock(mutex_);
  free_.reserve(free_.size() + in_use_ + 1);  // as giving back must not fail
  auto lent = std::make_unique<Lent>(shared_from_this(), std::move(transport));
  ++in_use_;
  return lent;
}

std::unique_ptr<Transport> ConnectionPool::take_free() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return nullptr;
  std::unique_ptr<Transport> transport = std::move(free_.back());
  free_.pop_back();
  return transport;
}

void ConnectionPool::give_back(std::unique_ptr<Transport> transport) noexcept {
  std::vector<std::unique_ptr<Transport>> closed;  // when nobody waits for us
  const std::lock_guard lock(mutex_);
  if (transport) free_.push_back(std::move(transport));
  if (--in_use_ == 0) closed.swap(free_);
}

}  // namespace acme_agent
