#include <fcntl.h>
#include <unistd.h>

#include <acme_agent/sys/file.hpp>

#include "fuzz.hpp"
#include "store/documents.hpp"
#include "support/temp_dir.hpp"

namespace acme_agent::fuzz {
namespace {

/// A file that is written without being synced.
class File {
 public:
  File() : path_(folder_ / "document.json"), file_(::open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {}

  const std::filesystem::path& path() const { return path_; }
  void fill(std::string_view text) const {
    expect(::ftruncate(file_.get(), 0) == 0 &&
               ::pwrite(file_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
           "a file can be written");
  }

 private:
  test::TempDir folder_;
  std::filesystem::path path_;
  FileDescriptor file_;
};

template <class Document>
std::optional<Document> read(const File& file) {
  try {
    return read_document<Document>(file.path());
  } catch (const Damaged& damage) {
    expect_sentence(damage.why, 200);
  } catch (const Error& error) {
    expect_shown(error);
  }
  return std::nullopt;
}

template <class Document>
void check(const File& file, std::string_view input) {
  file.fill(input);
  const std::optional<Document> document = read<Document>(file);
  if (!document) return;
  const std::string written = to_json(*document);
  file.fill(written);
  const std::optional<Document> again = read<Document>(file);
  expect(again && to_json(*again) == written, "what is kept is sound when it is read again", written);
}

}  // namespace

void one_input(std::string_view input) {
  static const File file;
  check<AccountDocument>(file, input);
  check<OrderDocument>(file, input);
  check<IssuedDocument>(file, input);
  check<Record>(file, input);
  check<Revocation>(file, input);
}

}  // namespace acme_agent::fuzz
