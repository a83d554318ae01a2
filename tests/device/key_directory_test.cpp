// SPDX-License-Identifier: Apache-2.0
// The directory of key files: ours are brought in line, whoever is killed at whichever step; all others stay.
#include "provisioning/device/key_directory.h"

#include "daemon/base/file.h"
#include "tests/device/file_faults.h"
#include "tests/support/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace imprint::device {
namespace {

namespace fs = std::filesystem;

// In a forked child: which change of the file system is its last one.
std::size_t steps = 0, last_step = 0;

test::FileFault at_the_last_step() { return ++steps == last_step ? test::FileFault::cut : test::FileFault::none; }

constexpr std::uint32_t handle = 0x8100494F;

pki::Tss2Key key(std::uint8_t fill, std::uint32_t parent = handle)
{
    return {parent, Bytes(90, fill), Bytes(130, static_cast<std::uint8_t>(fill + 1))};
}

class KeyDirectory : public testing::Test {
protected:
    DirectoryOutcome align(const KeysByLabel& keys) const { return align_directory(directory, handle, keys); }
    // Where nothing is to go wrong.
    void align_well(const KeysByLabel& keys) const
    {
        const auto outcome = align(keys);
        EXPECT_THAT(outcome.problems, testing::IsEmpty());
        EXPECT_EQ(outcome.written.size(), keys.size());
        EXPECT_EQ(contents(), in_line(keys));
    }
    static std::map<std::string, std::string> in_line(const KeysByLabel& keys)
    {
        std::map<std::string, std::string> files;
        for (const auto& [label, value] : keys)
            files[label + ".pem"] = to_string(pki::to_pem(value));
        return files;
    }
    std::map<std::string, std::string> contents() const
    {
        std::map<std::string, std::string> files;
        for (const auto& entry : fs::directory_iterator(directory))
            files[entry.path().filename()] = to_string(read_file(entry.path(), 1 << 20).value_or(Bytes{}));
        return files;
    }
    void put(const std::string& name, std::string_view content) const
    {
        write_file(directory / name, as_bytes(content), 0644);
    }
    // Killed after this many steps; whether it got there.
    bool killed_at(std::size_t step, const KeysByLabel& keys) const
    {
        const pid_t child = fork();
        if (child == 0) {
            last_step = step;
            test::file_fault = at_the_last_step;
            align(keys);
            _exit(0);
        }
        int status = 0;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == test::cut_off));
        return WEXITSTATUS(status) == test::cut_off;
    }

    test::TemporaryDirectory parent_directory;
    fs::path directory = parent_directory / "keys";
    KeyDirectory() { fs::create_directory(directory); }
};

TEST_F(KeyDirectory, FilesComeChangeAndGo)
{
    align_well({});
    align_well({{"a", key(1)}, {"b", key(2)}});
    struct stat info { };
    ASSERT_EQ(stat((directory / "a.pem").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0640U);
    align_well({{"a", key(3)}, {"c", key(2)}});
    align_well({});
}

TEST_F(KeyDirectory, WhatIsInLineIsNotTouched)
{
    align_well({{"a", key(1)}});
    fs::permissions(directory / "a.pem", fs::perms(0400));
    struct stat before {
    }, after{};
    stat((directory / "a.pem").c_str(), &before);
    align_well({{"a", key(1)}});
    stat((directory / "a.pem").c_str(), &after);
    EXPECT_EQ(before.st_ino, after.st_ino);
    EXPECT_EQ(after.st_mode & 07777, 0400U);
}

TEST_F(KeyDirectory, Attack08_KilledAtEveryStep)
{
    const std::vector<KeysByLabel> states{
        {}, {{"a", key(1)}, {"b", key(2)}}, {{"a", key(3)}, {"c", key(4)}}, {{"b", key(2)}}, {}};
    std::size_t kills = 0;
    for (std::size_t n = 0; n + 1 < states.size(); ++n) {
        const auto before = in_line(states[n]), after = in_line(states[n + 1]);
        for (std::size_t step = 1;; ++step) {
            align_well(states[n]);
            const bool killed = killed_at(step, states[n + 1]);
            for (const auto& [name, content] : contents()) {
                const bool whole = (before.contains(name) && before.at(name) == content) ||
                    (after.contains(name) && after.at(name) == content);
                EXPECT_TRUE(whole || name.ends_with(".pem.new")) << name << " is torn at step " << step;
            }
            // Whatever comes next, nothing of it is left.
            align_well(states[step % 2 == 0 ? n + 1 : n]);
            if (!killed)
                break;
            ++kills;
        }
    }
    EXPECT_GT(kills, 25U);
}

TEST_F(KeyDirectory, Attack24_WhatSomebodyElsePutThereStays)
{
    const auto pem = to_string(pki::to_pem(key(9, 0x81000001)));
    const std::map<std::string, std::string> theirs{
        {"a.pem", "-----BEGIN CERTIFICATE-----\n"}, // where one of ours is to go
        {"b.pem", pem}, // under another parent
        {"c.pem", std::string(100000, 'x')},
        {"d.pem.new", "their own"},
        {"e.pem", to_string(pki::to_pem(key(1))) + "# and a word of the operator's\n"},
        {"notes.txt", "notes"},
        {"UPPER.pem", to_string(pki::to_pem(key(1)))}, // no label of ours
    };
    for (const auto& [name, content] : theirs)
        put(name, content);
    EXPECT_THAT(align({}).problems, testing::IsEmpty()) << "nobody wants their place";
    EXPECT_EQ(contents(), theirs);

    const KeysByLabel keys{{"a", key(1)}, {"b", key(2)}, {"c", key(3)}, {"d", key(4)}, {"e", key(5)}, {"f", key(6)}};
    const auto outcome = align(keys);
    EXPECT_THAT(outcome.problems, testing::SizeIs(5));
    EXPECT_THAT(outcome.problems, testing::Each(testing::HasSubstr("is not one of imprintd's key files, and stays")));
    EXPECT_THAT(outcome.written, testing::ElementsAre(testing::Pair("f", directory / "f.pem")));
    auto expected = theirs;
    expected["f.pem"] = to_string(pki::to_pem(key(6)));
    EXPECT_EQ(contents(), expected);
    EXPECT_THAT(align({}).problems, testing::IsEmpty());
    EXPECT_EQ(contents(), theirs);
}

TEST_F(KeyDirectory, Attack24_LinksAreNotFollowed)
{
    const auto elsewhere = parent_directory / "elsewhere";
    write_file(elsewhere, pki::to_pem(key(1)));
    fs::create_symlink(elsewhere, directory / "a.pem");
    fs::create_symlink(elsewhere, directory / "b.pem.new");
    fs::create_directory(directory / "c.pem");
    fs::create_symlink("/nowhere", directory / "d.pem");
    const auto outcome = align({{"a", key(2)}, {"b", key(3)}, {"c", key(4)}, {"d", key(5)}});
    EXPECT_THAT(outcome.problems, testing::SizeIs(4));
    EXPECT_THAT(align({}).problems, testing::IsEmpty());
    EXPECT_EQ(read_file(elsewhere, 8192), pki::to_pem(key(1)));
    for (const auto* name : {"a.pem", "b.pem.new", "d.pem"})
        EXPECT_TRUE(fs::is_symlink(directory / name)) << name;
}

TEST_F(KeyDirectory, OneThatIsNotThereMattersWhereKeysAreToGoThere)
{
    fs::remove(directory);
    EXPECT_THAT(align({}).problems, testing::IsEmpty());
    const auto outcome = align({{"a", key(1)}});
    EXPECT_THAT(outcome.problems, testing::Contains(testing::HasSubstr(directory.string())));
    EXPECT_THAT(outcome.written, testing::IsEmpty());
    EXPECT_FALSE(fs::exists(directory));
}

TEST_F(KeyDirectory, Attack16_ALabelLeadsNowhereElse)
{
    const auto outcome = align({{"../elsewhere", key(1)}, {"", key(2)}, {"a/b", key(3)}});
    EXPECT_THAT(outcome.problems, testing::SizeIs(3));
    EXPECT_FALSE(fs::exists(parent_directory / "elsewhere.pem"));
    align_well({{"..", key(1)}}); // a label like others: "...pem"
}

} // namespace
} // namespace imprint::device
