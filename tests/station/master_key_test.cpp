// SPDX-License-Identifier: Apache-2.0
#include "provisioning/station/channel_key.h"

#include "daemon/base/file.h"
#include "daemon/pki/key.h"
#include "tests/support/process.h"
#include "tests/support/reason.h"

#include <gtest/gtest.h>

namespace imprint::station {
namespace {

class MasterKeys : public testing::Test {
protected:
    std::string store(const char* algorithm, const std::optional<Secret>& passphrase)
    {
        const pki::Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, algorithm));
        const auto path = directory / (std::string(algorithm) + ".pem");
        pki::store_key(path, key.get(), passphrase);
        raw.resize(32);
        std::size_t size = raw.size();
        EVP_PKEY_get_raw_private_key(key.get(), raw.data(), &size);
        return "file:" + path.string();
    }

    test::TemporaryDirectory directory;
    Bytes raw;
};

TEST_F(MasterKeys, B3_ComeFromAFile)
{
    write_file(directory / "master.key", Bytes(32, 7));
    EXPECT_TRUE(equal(load_master_key(directory / "master.key", std::nullopt).view(), Bytes(32, 7)));
    write_file(directory / "short.key", Bytes(31, 7));
    EXPECT_EQ(test::reason_of([&] { load_master_key(directory / "short.key", std::nullopt); }), Reason::not_configured);
}

TEST_F(MasterKeys, B3_ComeFromAStoreThatLetsThemOut)
{
    const Secret passphrase(to_bytes("a passphrase"));
    const auto uri = store("ED25519", passphrase.clone());
    EXPECT_TRUE(equal(load_master_key(uri, passphrase.clone()).view(), raw));
    EXPECT_EQ(test::reason_of([&] { load_master_key(uri, std::nullopt); }), Reason::not_configured);
}

TEST_F(MasterKeys, OtherKeysAreNone)
{
    const auto uri = "file:" + (directory / "ec.pem").string();
    pki::store_key(directory / "ec.pem", pki::generate_key("P-256").get(), std::nullopt);
    EXPECT_EQ(test::reason_of([&] { load_master_key(uri, std::nullopt); }), Reason::not_configured);
}

} // namespace
} // namespace imprint::station
