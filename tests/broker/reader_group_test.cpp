#include "../../src/broker/reader_group.hpp"

#include <doctest/doctest.h>

namespace acme_agent::test {
namespace {

Process process(uid_t uid, gid_t gid, std::vector<gid_t> groups = {}) {
  Process process;
  process.uid = uid;
  process.gid = gid;
  process.groups = std::move(groups);
  return process;
}

TEST_CASE("root gives the files to the group of the process that reads them") {
  CHECK(reader_group({process(108, 115)}, 120, process(0, 0)) == 115);
}

TEST_CASE("an ordinary user gives only groups that are its own") {
  const std::vector<Process> broker{process(108, 115)};
  CHECK(reader_group(broker, std::nullopt, process(1000, 115)) == 115);
  CHECK(reader_group(broker, std::nullopt, process(1000, 1000, {4, 115})) == 115);
  CHECK_FALSE(reader_group(broker, std::nullopt, process(1000, 1000, {4})).has_value());
}

TEST_CASE("a user who may give files away gives any group") {
  Process self = process(1000, 1000);
  self.gives_files_away = true;
  CHECK(reader_group({process(108, 115)}, std::nullopt, self) == 115);
}

TEST_CASE("the group mosquitto is the guess where no broker runs, if it may be given") {
  CHECK(reader_group({}, 115, process(0, 0)) == 115);
  CHECK(reader_group({}, 115, process(1000, 1000, {115})) == 115);
  CHECK_FALSE(reader_group({}, 115, process(1000, 1000)).has_value());
  CHECK_FALSE(reader_group({}, std::nullopt, process(0, 0)).has_value());
}

TEST_CASE("no group is given to a person who calls a process of his like the broker") {
  Process person = process(1001, 1001);
  person.of_other_person = true;
  CHECK(reader_group({person, process(108, 115)}, std::nullopt, process(0, 0)) == 115);
  CHECK(reader_group({person}, 120, process(0, 0)) == 120);
  CHECK_FALSE(reader_group({person}, std::nullopt, process(0, 0)).has_value());
}

TEST_CASE("this process may give its own group") {
  const Process self = own_process();
  CHECK(reader_group({process(self.uid + 1, self.gid)}, std::nullopt, self) == self.gid);
}

}  // namespace
}  // namespace acme_agent::test
