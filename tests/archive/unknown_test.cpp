// SPDX-License-Identifier: Apache-2.0
// Whoever asks for what is not there learns nothing about what is: not from the answer, and not from the work that it
// took.
#include "backup/archive/api.h"
#include "tests/support/process.h"
#include "tests/support/test_pki.h"

#include <gtest/gtest.h>

#include <sqlite3.h>

namespace imprint::archive {
namespace {

// What the databases of this process were asked, and how many steps their machine took.
struct Work {
    std::vector<std::string> statements;
    int steps = 0;
    int scans = 0; // steps from row to row of a table
};

Work* watched = nullptr;

int note(unsigned /*type*/, void* /*context*/, void* statement, void* /*time*/)
{
    auto* done = static_cast<sqlite3_stmt*>(statement);
    if (watched != nullptr) {
        watched->statements.emplace_back(sqlite3_sql(done));
        watched->steps += sqlite3_stmt_status(done, SQLITE_STMTSTATUS_VM_STEP, 1);
        watched->scans += sqlite3_stmt_status(done, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
    }
    return 0;
}

int watch(sqlite3* database, char** /*error*/, const sqlite3_api_routines* /*api*/)
{
    return sqlite3_trace_v2(database, SQLITE_TRACE_PROFILE, note, nullptr);
}

class Unknown : public testing::Test {
protected:
    static void SetUpTestSuite() { sqlite3_auto_extension(reinterpret_cast<void (*)()>(watch)); }
    static void TearDownTestSuite() { sqlite3_reset_auto_extension(); }

    // An archive with as many records as every other one here, of these chips.
    std::unique_ptr<Store> archive_of(const std::vector<std::string>& chips)
    {
        auto store = open_store(directory / (std::to_string(++count) + ".db"));
        for (std::size_t i = 0; i < chips.size(); ++i)
            for (const std::uint64_t sequence : {3, 7})
                store
                    ->add({{chips[i], {"serial", "SN" + std::to_string(i)}, Bytes(32, static_cast<std::uint8_t>(i))},
                           sequence,
                           test::now,
                           Bytes(5000, 1),
                           Bytes(500, 2)})
                    .or_throw();
        return store;
    }
    std::pair<Answer, Work> ask(Store& store, const std::string& target, Method method)
    {
        Work work;
        watched = &work;
        Answer answer = answer_read(store, signer, {method, target}, test::now);
        watched = nullptr;
        return {std::move(answer), std::move(work)};
    }

    const test::TestPki pki;
    const Signer signer{{pki.archive.certificate}, test::share(pki.archive.key)};
    test::TemporaryDirectory directory;
    int count = 0;
};

TEST_F(Unknown, B1_AnUnknownChipsAnswerIsTheSameWhoeverIsNear)
{
    const std::string chip = std::string(31, '8') + std::string(33, '7');
    const auto near = [&](char last) { return chip.substr(0, 63) + last; };
    const auto alone = archive_of({std::string(64, '0'), std::string(64, 'f')});
    const auto crowded = archive_of({near('6'), near('8')}); // the very next ones
    const auto known = archive_of({chip, std::string(64, 'f')});
    const auto first = ask(*alone, "/v1/records/" + std::string(64, '1'), Method::get);
    EXPECT_EQ(first.first.status, 404U);
    for (const auto method : {Method::get, Method::head})
        for (const auto* rest : {"", "/3", "/5"}) {
            const std::string target = "/v1/records/" + chip + rest;
            const auto [answer, work] = ask(*alone, target, method);
            const auto [other_answer, other_work] = ask(*crowded, target, method);
            EXPECT_EQ(answer.status, 404U) << target;
            EXPECT_EQ(answer.body, first.first.body) << target;
            EXPECT_EQ(answer.headers, first.first.headers) << target;
            EXPECT_EQ(other_answer.body, answer.body) << target;
            EXPECT_EQ(other_answer.headers, answer.headers) << target;
            EXPECT_EQ(other_work.statements, work.statements) << target;
            EXPECT_LE(std::abs(other_work.steps - work.steps), 2) << work.steps; // whether the index has a next row
            EXPECT_EQ(work.scans + other_work.scans, 0) << target;
        }
    // Nor of a chip that is known under other sequences.
    const auto [answer, work] = ask(*known, "/v1/records/" + chip + "/5", Method::get);
    EXPECT_EQ(answer.body, first.first.body);
    EXPECT_EQ(answer.headers, first.first.headers);
    EXPECT_EQ(work.statements, ask(*alone, "/v1/records/" + chip + "/5", Method::get).second.statements);
}

TEST_F(Unknown, B1_SoIsThatOfAWordAndAReplacement)
{
    const std::string chip(64, '7');
    const auto store = archive_of({std::string(63, '7') + '6', std::string(63, '7') + '8'});
    const auto first = ask(*store, "/v1/records/" + chip, Method::get).first;
    for (const auto& target : {"/v1/newest/" + chip + "?nonce=" + std::string(64, 'a'), "/v1/replacements/" + chip}) {
        const auto answer = ask(*store, target, Method::get).first;
        EXPECT_EQ(answer.status, 404U) << target;
        EXPECT_EQ(answer.body, first.body) << target;
        EXPECT_EQ(answer.headers, first.headers) << target;
    }
}

} // namespace
} // namespace imprint::archive
