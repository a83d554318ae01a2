// SPDX-License-Identifier: Apache-2.0
// The whole way of a key file: from the station's profile to a program that knows nothing of Imprint (tpm2-openssl,
// tpm2-tools), and its end.
#include "tests/system/fixture.h"

#include "daemon/base/file.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace imprint::test {

namespace {

constexpr const char* profile = R"(
[[entry]]
label = "signer"
type = "p256"
certificate = true
key-file = true
[[entry]]
label = "rsa"
type = "rsa2048"
certificate = true
key-file = true
[[entry]]
label = "reader"
type = "rsa2048"
use = "decrypt"
key-file = true
[[entry]]
label = "inside"
type = "p256"
)";

class KeyFiles : public testing::Test {
protected:
    KeyFiles()
        : device({.trust_bundle = factory.trust_bundle(),
                  .configuration = "[KeyFiles]\nDirectory=" + keys.path().string() + "\n"})
    {
        write_file(factory / "profile.toml", as_bytes(profile));
        write_file(at("message"), as_bytes("message"));
        factory.start_station({"--profile", factory / "profile.toml"});
        device.start();
    }

    std::string ctl(const Arguments& arguments) const
    {
        const auto finished = device.imprintctl(arguments);
        return finished.status == 0 ? "" : finished.out + finished.err;
    }
    std::string personalize() const { return ctl({"personalize", factory.station_address()}); }
    std::string recover() const { return ctl({"recover", factory.archive_address()}); }
    std::string state() const { return device.property("State"); }
    std::string hint() const { return device.property("StateHint"); }
    std::string at(const std::string& name) const { return device.directory() / name; }
    std::string file(const std::string& label) const { return keys / (label + ".pem"); }

    // A program of somebody else's, with the TPM to itself as it would have it through a resource manager.
    Finished tool(const Arguments& arguments)
    {
        return run(arguments, {},
                   {{"TPM2OPENSSL_TCTI", device.tpm().tools_tcti()}, {"TPM2TOOLS_TCTI", device.tpm().tools_tcti()}});
    }
    Finished openssl(Arguments arguments)
    {
        arguments.insert(arguments.begin(), "openssl");
        return tool(arguments);
    }
    Finished with_the_tpm(const std::string& command, const Arguments& arguments)
    {
        Arguments whole{command, "-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2"};
        whole.insert(whole.end(), arguments.begin(), arguments.end());
        return openssl(whole);
    }
    // By the entry's certificate, or its public key where it has none.
    std::string public_key(const std::string& label)
    {
        const auto shown = nlohmann::json::parse(device.imprintctl({"--json", "key", "show", label}).out);
        if (shown.contains("certificate")) {
            write_file(at(label + ".crt"), as_bytes(shown["certificate"].get<std::string>()));
            EXPECT_EQ(
                openssl({"x509", "-in", at(label + ".crt"), "-noout", "-pubkey", "-out", at(label + ".pub")}).status,
                0);
        } else {
            write_file(at(label + ".pub"), as_bytes(shown.at("public-key").get<std::string>()));
        }
        return at(label + ".pub");
    }
    // What openssl says if it cannot sign, or others cannot verify.
    std::string signs(const std::string& label)
    {
        std::filesystem::remove(at("signature"));
        const auto made = with_the_tpm("pkeyutl",
                                       {"-sign", "-inkey", file(label), "-rawin", "-digest", "sha256", "-in",
                                        at("message"), "-out", at("signature")});
        if (made.status != 0)
            return "not made: " + made.err;
        const auto verified =
            openssl({"dgst", "-sha256", "-verify", public_key(label), "-signature", at("signature"), at("message")});
        return verified.status == 0 ? "" : "not verified: " + verified.out + verified.err;
    }
    std::string handles() { return tool({"tpm2_getcap", "handles-persistent"}).out; }
    std::set<std::string> names() const
    {
        std::set<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(keys.path()))
            found.insert(entry.path().filename());
        return found;
    }
    void expect_gone()
    {
        EXPECT_EQ(names(), std::set<std::string>{});
        EXPECT_THAT(handles(), testing::Not(testing::HasSubstr("0x8100494F")));
        EXPECT_EQ(device.property("KeyFiles"), "as 0");
    }

    const std::set<std::string> all{"signer.pem", "rsa.pem", "reader.pem"};
    Factory factory;
    TemporaryDirectory keys;
    DaemonProcess device;
};

TEST_F(KeyFiles, B5_B6_B13_B14_B21_B23_ProgramsUseThemWithoutTheDaemon)
{
    expect_gone();
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(names(), all) << hint();
    EXPECT_EQ(signs("signer"), "");
    EXPECT_EQ(signs("rsa"), "");
    EXPECT_THAT(device.imprintctl({"key", "show", "signer"}).out, testing::HasSubstr(file("signer")));
    EXPECT_THAT(device.imprintctl({"status"}).out, testing::HasSubstr(file("signer")));
    EXPECT_THAT(device.imprintctl({"key", "show", "inside"}).out, testing::Not(testing::HasSubstr("key file")));

    ASSERT_EQ(openssl({"pkeyutl", "-encrypt", "-pubin", "-inkey", public_key("reader"), "-in", at("message"), "-out",
                       at("sealed")})
                  .status,
              0);
    const auto opened = with_the_tpm("pkeyutl", {"-decrypt", "-inkey", file("reader"), "-in", at("sealed")});
    EXPECT_EQ(opened.out, "message") << opened.err;

    // And the daemon uses the same keys, by their labels.
    ASSERT_EQ(ctl({"key", "sign", "signer", at("message"), "--out", at("signature")}), "");
    EXPECT_EQ(
        openssl({"dgst", "-sha256", "-verify", public_key("signer"), "-signature", at("signature"), at("message")}).out,
        "Verified OK\n");
}

TEST_F(KeyFiles, A23_TheWayBackEndsThem)
{
    ASSERT_EQ(personalize(), "");
    ASSERT_EQ(signs("signer"), "");
    const TemporaryDirectory copy;
    std::filesystem::copy(keys.path(), copy / "keys", std::filesystem::copy_options::recursive);
    ASSERT_EQ(ctl({"enter-personalization"}), "");
    expect_gone();
    std::filesystem::copy(copy / "keys", keys.path(), std::filesystem::copy_options::recursive);
    EXPECT_THAT(signs("signer"), testing::HasSubstr("not made"));
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(names(), all);
    EXPECT_EQ(signs("signer"), "") << "a new one under a new parent";
    std::filesystem::copy(copy / "keys", keys.path(),
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
    EXPECT_THAT(signs("signer"), testing::HasSubstr("not made"));
}

TEST_F(KeyFiles, B17_ARecoveryBringsThemBack)
{
    ASSERT_EQ(personalize(), "");
    factory.wait_for_outbox();
    const auto before = read_file(file("signer"), 8192);
    device.kill();
    device.wipe_disk();
    device.start();
    ASSERT_EQ(state(), "s \"disk-lost\"");
    expect_gone();
    ASSERT_EQ(recover(), "");
    ASSERT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(read_file(file("signer"), 8192), before);
    EXPECT_EQ(signs("signer"), "");

    ASSERT_EQ(device.stop(), 0);
    device.tpm().clear();
    EXPECT_THAT(with_the_tpm("pkeyutl", {"-sign", "-inkey", file("signer"), "-rawin", "-in", at("message")}).status,
                testing::Ne(0));
    device.start();
    ASSERT_EQ(state(), "s \"tpm-cleared\"");
    expect_gone();
    ASSERT_EQ(recover(), "");
    ASSERT_EQ(state(), "s \"recovered\"");
    EXPECT_EQ(read_file(file("signer"), 8192), before) << "the same key under the same parent";
    EXPECT_EQ(signs("signer"), "");
    EXPECT_EQ(signs("rsa"), "");
}

TEST_F(KeyFiles, SomebodyElsesKeyAtTheHandleStays)
{
    ASSERT_EQ(tool({"tpm2_createprimary", "-C", "o", "-c", at("theirs.ctx")}).status, 0);
    ASSERT_EQ(tool({"tpm2_evictcontrol", "-C", "o", "-c", at("theirs.ctx"), "0x8100494F"}).status, 0);
    ASSERT_EQ(tool({"tpm2_flushcontext", "-t"}).status, 0);
    const auto theirs = tool({"tpm2_readpublic", "-c", "0x8100494F"}).out;
    ASSERT_EQ(personalize(), "") << "it holds nothing up";
    EXPECT_EQ(state(), "s \"operating\"");
    EXPECT_EQ(names(), std::set<std::string>{});
    EXPECT_THAT(hint(), testing::HasSubstr("another key stands at the handle of the parent of key files"));
    EXPECT_THAT(device.log(), testing::HasSubstr("another key stands at the handle of the parent of key files"));
    ASSERT_EQ(ctl({"key", "sign", "signer", at("message"), "--out", at("signature")}), "");
    EXPECT_EQ(tool({"tpm2_readpublic", "-c", "0x8100494F"}).out, theirs);

    ASSERT_EQ(tool({"tpm2_evictcontrol", "-C", "o", "-c", "0x8100494F"}).status, 0);
    ASSERT_EQ(device.stop(), 0);
    device.start();
    EXPECT_EQ(names(), all);
    EXPECT_EQ(signs("signer"), "");
}

TEST_F(KeyFiles, Attack24_SomebodyElsesFileStays)
{
    write_file(file("signer"), as_bytes("somebody's"));
    ASSERT_EQ(personalize(), "");
    EXPECT_EQ(read_file(file("signer"), 64), to_bytes("somebody's"));
    EXPECT_THAT(hint(), testing::HasSubstr(file("signer")));
    EXPECT_EQ(signs("rsa"), "");
    ASSERT_EQ(ctl({"enter-personalization"}), "");
    EXPECT_EQ(names(), std::set<std::string>{"signer.pem"});
    EXPECT_THAT(hint(), testing::Not(testing::HasSubstr(file("signer")))) << "nobody wants its place";
}

} // namespace

} // namespace imprint::test
