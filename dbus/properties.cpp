// SPDX-License-Identifier: Apache-2.0
#include "dbus/properties.h"

#include "daemon/pki/certificate.h"
#include "dbus/boundary.h"

#include <array>

namespace imprint::dbus {

namespace {

std::string pem(BytesView der)
{
    if (der.empty())
        return {};
    return to_string(pki::to_pem({pki::Certificate::from_der(der).or_throw()}));
}

std::string pem_of_all(const std::vector<Bytes>& ders)
{
    std::string all;
    for (const auto& der : ders)
        all += pem(der);
    return all;
}

std::vector<std::string> printable_all(std::vector<std::string> texts)
{
    for (auto& text : texts)
        text = printable(text);
    return texts;
}

std::string hint_of(const device::Status& status)
{
    const std::string hint(lifecycle::hint(status.state));
    return status.detail.empty() ? hint : printable(status.detail) + ": " + hint;
}

template <auto Member>
bool same(const Shown& a, const Shown& b)
{
    return a.*Member == b.*Member;
}

struct Property {
    const char* name;
    bool (*same)(const Shown&, const Shown&);
};

// Every property of the interface but Version, which is constant.
constexpr std::array properties{
    Property{"State", same<&Shown::state>},
    Property{"StateHint", same<&Shown::state_hint>},
    Property{"Epoch", same<&Shown::epoch>},
    Property{"ChipId", same<&Shown::chip_id>},
    Property{"DeviceIdentity", same<&Shown::device_identity>},
    Property{"ModuleCertificate", same<&Shown::module_certificate>},
    Property{"IdentityCertificate", same<&Shown::identity_certificate>},
    Property{"CertificateChain", same<&Shown::certificate_chain>},
    Property{"Progress", same<&Shown::progress>},
    Property{"Busy", same<&Shown::busy>},
    Property{"ReadyToSwitch", same<&Shown::ready_to_switch>},
    Property{"Sequence", same<&Shown::sequence>},
    Property{"Keys", same<&Shown::keys>},
    Property{"KeyFiles", same<&Shown::key_files>},
    Property{"CentralSet", same<&Shown::central_set>},
    Property{"Channels", same<&Shown::channels>},
    Property{"TpmVendor", same<&Shown::tpm_vendor>},
    Property{"TpmFirmware", same<&Shown::tpm_firmware>},
};

} // namespace

Shown shown(const device::Status& status, const ProgressReport& progress, bool busy)
{
    Shown out;
    out.state = lifecycle::name(status.state);
    out.state_hint = hint_of(status);
    out.epoch = status.epoch;
    out.chip_id = printable(status.chip_identifier);
    out.device_identity = {printable(status.identity_kind), printable(status.identity_value)};
    out.module_certificate = pem(status.module_certificate);
    out.identity_certificate = pem(status.identity_certificate);
    out.certificate_chain = pem_of_all(status.certificate_chain);
    out.progress = progress;
    out.busy = busy;
    out.ready_to_switch = status.ready_to_switch;
    out.sequence = status.sequence;
    out.keys = printable_all(status.keys);
    for (const auto& [label, path] : status.key_files)
        out.key_files.push_back(printable(path.string()));
    out.central_set = status.central_set;
    out.channels = static_cast<std::uint32_t>(status.channels);
    out.tpm_vendor = printable(status.tpm_vendor);
    out.tpm_firmware = printable(status.tpm_firmware);
    return out;
}

std::vector<std::string> changes(const Shown& before, const Shown& after)
{
    std::vector<std::string> names;
    for (const auto& property : properties)
        if (!property.same(before, after))
            names.emplace_back(property.name);
    return names;
}

void append(sd_bus_message* reply, const std::string& text)
{
    check(sd_bus_message_append(reply, "s", text.c_str()), "append a text");
}

void append(sd_bus_message* reply, std::uint64_t number)
{
    check(sd_bus_message_append(reply, "t", number), "append a number");
}

void append(sd_bus_message* reply, std::uint32_t number)
{
    check(sd_bus_message_append(reply, "u", number), "append a number");
}

void append(sd_bus_message* reply, bool truth)
{
    check(sd_bus_message_append(reply, "b", static_cast<int>(truth)), "append a truth value");
}

void append(sd_bus_message* reply, const std::pair<std::string, std::string>& texts)
{
    check(sd_bus_message_append(reply, "(ss)", texts.first.c_str(), texts.second.c_str()), "append two texts");
}

void append(sd_bus_message* reply, const ProgressReport& progress)
{
    check(sd_bus_message_append(reply, "(us)", progress.first, progress.second.c_str()), "append a progress");
}

void append(sd_bus_message* reply, const std::vector<std::string>& texts)
{
    check(sd_bus_message_open_container(reply, 'a', "s"), "append texts");
    for (const auto& text : texts)
        append(reply, text);
    check(sd_bus_message_close_container(reply), "append texts");
}

} // namespace imprint::dbus
