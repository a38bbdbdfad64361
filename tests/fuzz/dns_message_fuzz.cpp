#include <acme_agent/dns/message.hpp>

#include "fuzz.hpp"

namespace acme_agent::fuzz {
namespace {

void check_name(const std::string& name) {
  const std::string wire = write_dns_name(name);
  expect(wire.size() <= 255, "a name that was read has at most 255 octets", name);
  expect(printable(name, std::string::npos) == name, "a name that was read is printable", name);
}

void check(const DnsRecord& record) {
  check_name(record.name);
  if (record.type == RecordType::ns || record.type == RecordType::cname || record.type == RecordType::soa)
    check_name(record.value);
  if (record.type == RecordType::caa) expect(!record.tag.empty(), "a CAA has a tag");
  expect(record.value.size() <= 65535, "a record has at most 64 KiB");
}

}  // namespace

void one_input(std::string_view input) {
  const std::optional<DnsResponse> response = read_dns_response(input);
  if (!response) return;
  expect(write_dns_number(response->id, 2) == input.substr(0, 2), "the id comes first");
  if (response->question) {
    check_name(response->question->name);
    const auto type = static_cast<RecordType>(response->question->type);
    const std::string asked = write_dns_query(response->id, response->question->name, type);
    expect(asked.size() > 12, "a question that was read can be asked");
  }
  for (const auto* section : {&response->answers, &response->authorities})
    for (const DnsRecord& record : *section) check(record);
  expect(response->answers.size() + response->authorities.size() <= input.size() / 11, "records take room");
  if (response->tsig) {
    check_name(response->tsig->key_name);
    expect(response->tsig->offset >= 12 && response->tsig->offset < input.size(), "a signature is behind the rest");
  }
}

}  // namespace acme_agent::fuzz
