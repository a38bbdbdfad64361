#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include <acme_agent/base/entries.hpp>

#include "support/temp_dir.hpp"

using namespace acme_agent;

TEST_CASE("a folder has all that lies in it, and what is none says why") {
  const test::TempDir folder;
  std::ofstream(folder / "file") << "content";
  std::filesystem::create_directory_symlink("circle", folder / "circle");
  std::error_code error;
  std::vector<std::filesystem::path> entries = entries_of(folder.path(), error);
  std::sort(entries.begin(), entries.end());
  CHECK(entries == std::vector<std::filesystem::path>{folder / "circle", folder / "file"});
  CHECK_FALSE(error);
  CHECK(entries_of(folder / "file", error).empty());
  CHECK(error == std::errc::not_a_directory);
  CHECK(entries_of(folder / "circle", error).empty());
  CHECK(error == std::errc::too_many_symbolic_link_levels);
  CHECK(entries_of(folder / "missing", error).empty());
  CHECK(error == std::errc::no_such_file_or_directory);
}
