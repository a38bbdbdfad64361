#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include <acme_agent/net/connection_pool.hpp>

using namespace acme_agent;

namespace {

/// What was made, what is still there, and whether the next one can be made or its exchange fails.
struct Server {
  std::atomic<int> made = 0;
  std::atomic<int> open = 0;
  bool refuses = false;
  bool fails = false;
};

class Connection final : public Transport {
 public:
  explicit Connection(Server& server) : server_(server) {
    ++server_.made;
    ++server_.open;
  }
  ~Connection() override { --server_.open; }

  Response send(const Request&, const std::stop_token&) override {
    if (server_.fails) throw Error(Remedy::retry, "no answer");
    return {.status = 200, .headers = {}, .body = ""};
  }

 private:
  Server& server_;
};

struct Pooling {
  Server server;
  std::shared_ptr<ConnectionPool> pool = std::make_shared<ConnectionPool>([this]() -> std::unique_ptr<Transport> {
    if (server.refuses) throw Error(Remedy::retry, "too many open files");
    return std::make_unique<Connection>(server);
  });
};

}  // namespace

TEST_CASE("a connection goes to the next user as long as anybody uses one, and none is left open at rest") {
  Pooling t;
  std::unique_ptr<Transport> busy = t.pool->take();
  t.pool->take();
  t.pool->take();
  CHECK(t.server.made == 2);
  CHECK(t.server.open == 2);
  busy.reset();
  CHECK(t.server.open == 0);
}

TEST_CASE("a connection whose exchange failed goes to nobody") {
  Pooling t;
  const std::unique_ptr<Transport> busy = t.pool->take();
  t.server.fails = true;
  CHECK_THROWS_AS(t.pool->take()->send({}, {}), Error);
  CHECK(t.server.open == 1);
}

TEST_CASE("after a connection that could not be made none is left open at rest either") {
  Pooling t;
  t.server.refuses = true;
  CHECK_THROWS_AS(t.pool->take(), Error);
  t.server.refuses = false;
  t.pool->take();
  CHECK(t.server.made == 1);
  CHECK(t.server.open == 0);
}

TEST_CASE("a client outlives the one who made the pool") {
  Pooling t;
  std::unique_ptr<Transport> last = t.pool->take();
  t.pool.reset();
  CHECK(last->send({}, {}).status == 200);
  last.reset();
  CHECK(t.server.open == 0);
}

TEST_CASE("many threads share the pool, and in the end nothing is open") {
  Pooling t;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&t] {
        for (int n = 0; n < 500; ++n) t.pool->take()->send({}, {});
      });
  }
  CHECK(t.server.open == 0);
}
