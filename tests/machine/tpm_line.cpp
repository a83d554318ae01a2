// SPDX-License-Identifier: Apache-2.0
#include "tests/machine/tpm_line.h"

#include "tests/machine/socket_pair.h"

#include <tss2/tss2_tpm2_types.h>

#include <array>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

namespace imprint::test {

namespace {

constexpr std::size_t header_size = 10, size_offset = 2, code_offset = 6; // of commands and answers
constexpr std::size_t max_message = 1 << 16;

std::uint32_t number_at(const Bytes& bytes, std::size_t offset)
{
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
        value = value << 8U | bytes.at(offset + i);
    return value;
}

// One descriptor may go with the bytes.
union Ancillary {
    cmsghdr header;
    std::array<char, CMSG_SPACE(sizeof(int))> space;
};

// The number of bytes; 0 at the end.
std::size_t receive(int from, std::span<std::uint8_t> buffer, Fd& descriptor)
{
    iovec bytes{buffer.data(), buffer.size()};
    Ancillary ancillary{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = &ancillary;
    message.msg_controllen = sizeof ancillary;
    const ssize_t n = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
    if (const auto* header = n > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
        header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(header), sizeof number);
        descriptor = Fd(number);
    }
    return n > 0 ? static_cast<std::size_t>(n) : 0;
}

// Messages are small: a socket takes each whole.
bool send(int to, BytesView bytes, const Fd& descriptor = {})
{
    iovec content{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    Ancillary ancillary{};
    msghdr message{};
    message.msg_iov = &content;
    message.msg_iovlen = 1;
    if (descriptor) {
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof ancillary;
        auto* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        const int number = descriptor.get();
        std::memcpy(CMSG_DATA(header), &number, sizeof number);
    }
    return sendmsg(to, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

std::string ordinal(unsigned n) { return std::to_string(n) + (n == 2 ? "nd" : n == 3 ? "rd" : "th"); }

} // namespace

std::string Place::name() const
{
    // What a device's long calls consist of.
    static const std::map<std::uint32_t, std::string> names{
        {TPM2_CC_ActivateCredential, "ActivateCredential"},
        {TPM2_CC_Certify, "Certify"},
        {TPM2_CC_CertifyCreation, "CertifyCreation"},
        {TPM2_CC_Create, "Create"},
        {TPM2_CC_CreatePrimary, "CreatePrimary"},
        {TPM2_CC_EvictControl, "EvictControl"},
        {TPM2_CC_Import, "Import"},
        {TPM2_CC_Load, "Load"},
        {TPM2_CC_NV_Certify, "NV_Certify"},
        {TPM2_CC_NV_DefineSpace, "NV_DefineSpace"},
        {TPM2_CC_NV_Increment, "NV_Increment"},
        {TPM2_CC_NV_Write, "NV_Write"},
        {TPM2_CC_RSA_Decrypt, "RSA_Decrypt"},
        {TPM2_CC_Sign, "Sign"},
        {TPM2_CC_StirRandom, "StirRandom"},
        {TPM2_CC_Unseal, "Unseal"},
    };
    const auto known = names.find(command);
    return std::string(side == Side::before ? "before" : "after") + " the " + (nth == 1 ? "" : ordinal(nth) + " ") +
        (known == names.end() ? "command " + std::to_string(command) : known->second);
}

TpmLine::TpmLine()
    : held_(eventfd(0, EFD_CLOEXEC))
    , stop_(eventfd(0, EFD_CLOEXEC))
{
    std::tie(machines_end_, control_.machine) = socket_pair();
    std::tie(tpms_end_, control_.tpm) = socket_pair();
    thread_ = std::jthread([this] { run(); });
}

TpmLine::~TpmLine() { eventfd_write(stop_.get(), 1); }

void TpmLine::started()
{
    machines_end_ = Fd();
    tpms_end_ = Fd();
}

void TpmLine::hold(const Place& place)
{
    const std::lock_guard lock(mutex_);
    place_ = place;
    seen_.clear();
}

bool TpmLine::passes(std::uint32_t command, Side side)
{
    const std::lock_guard lock(mutex_);
    if (side == Side::before)
        ++seen_[command];
    return !place_ || place_->command != command || place_->side != side || place_->nth != seen_[command];
}

bool TpmLine::pass_control(const Fd& from, const Fd& to)
{
    Bytes bytes(max_message);
    Fd descriptor;
    bytes.resize(receive(from.get(), bytes, descriptor));
    if (bytes.empty())
        return false;
    if (!descriptor)
        return send(to.get(), bytes);
    // QEMU's end of the data channel: we take it, and the TPM gets one of ours.
    auto [ours, tpms] = socket_pair();
    data_ = {std::move(descriptor), std::move(ours)};
    return send(to.get(), bytes, tpms);
}

bool TpmLine::pass_data(const Fd& from, const Fd& to, Side side)
{
    Bytes bytes(max_message);
    Fd none;
    bytes.resize(receive(from.get(), bytes, none));
    if (bytes.empty())
        return false;
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    if (pending_.size() < header_size || pending_.size() < number_at(pending_, size_offset))
        return true;
    if (side == Side::before)
        command_ = number_at(pending_, code_offset);
    if (passes(command_, side))
        return send(to.get(), std::exchange(pending_, {}));
    held_channel_ = std::move(data_);
    eventfd_write(held_.get(), 1);
    return true;
}

void TpmLine::run()
{
    for (bool open = true; open;) {
        std::array<pollfd, 5> watched{{{stop_.get(), POLLIN, 0},
                                       {control_.machine.get(), POLLIN, 0},
                                       {control_.tpm.get(), POLLIN, 0},
                                       {data_.machine.get(), POLLIN, 0},
                                       {data_.tpm.get(), POLLIN, 0}}};
        poll(watched.data(), watched.size(), -1);
        open = watched[0].revents == 0 && (watched[1].revents == 0 || pass_control(control_.machine, control_.tpm)) &&
            (watched[2].revents == 0 || pass_control(control_.tpm, control_.machine)) &&
            (watched[3].revents == 0 || pass_data(data_.machine, data_.tpm, Side::before)) &&
            (watched[4].revents == 0 || pass_data(data_.tpm, data_.machine, Side::after));
    }
    // Whoever is still there learns that the other is gone.
    control_ = {};
    data_ = {};
}

} // namespace imprint::test
