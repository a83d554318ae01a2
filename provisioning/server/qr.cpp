// SPDX-License-Identifier: Apache-2.0
#include "provisioning/server/qr.h"

#include "daemon/base/error.h"
#include "daemon/base/owned.h"

#include <qrencode.h>

#include <algorithm>
#include <array>
#include <string>

namespace imprint::server {

namespace {

constexpr int margin = 4; // modules; the standard's

void free_cleansed(QRcode* code)
{
    cleanse({code->data, static_cast<std::size_t>(code->width) * static_cast<std::size_t>(code->width)});
    QRcode_free(code);
}

class Modules {
public:
    explicit Modules(std::string_view text)
    {
        const Secret terminated = with_nul(text);
        code_.reset(
            QRcode_encodeString(reinterpret_cast<const char*>(terminated.data()), 0, QR_ECLEVEL_M, QR_MODE_8, 1));
        if (!code_)
            throw Error(Reason::invalid_argument, "there is no QR code for this text");
    }

    int width() const { return code_->width; }
    // Outside of the code everything is light.
    bool dark(int x, int y) const
    {
        return x >= 0 && y >= 0 && x < width() && y < width() && (code_->data[y * width() + x] & 1) != 0;
    }

private:
    static Secret with_nul(std::string_view text)
    {
        Secret terminated(text.size() + 1);
        std::ranges::copy(text, terminated.data());
        return terminated;
    }
    Owned<QRcode, free_cleansed> code_;
};

// Text that leaves nothing behind in the heap.
class Writer {
public:
    Writer& operator<<(std::string_view text)
    {
        const std::size_t size = text_.size();
        text_.resize(size + text.size());
        std::ranges::copy(text, text_.data() + size);
        return *this;
    }
    Writer& operator<<(int number) { return *this << std::string_view(std::to_string(number)); }
    Secret take() { return std::move(text_); }

private:
    Secret text_;
};

} // namespace

Secret qr_text(std::string_view text, bool colours)
{
    const Modules modules(text);
    // By whether the upper and the lower module are dark.
    constexpr std::array<std::string_view, 4> blocks{"\u2588", "\u2580", "\u2584", " "};
    Writer out;
    for (int y = -margin; y < modules.width() + margin; y += 2) {
        out << (colours ? "\x1b[40;97m" : "");
        for (int x = -margin; x < modules.width() + margin; ++x)
            out << blocks[(modules.dark(x, y) ? 2U : 0U) + (modules.dark(x, y + 1) ? 1U : 0U)];
        out << (colours ? "\x1b[0m\n" : "\n");
    }
    return out.take();
}

Secret qr_svg(std::string_view text)
{
    const Modules modules(text);
    const int size = modules.width() + 2 * margin;
    Writer out;
    out << R"(<?xml version="1.0" encoding="UTF-8"?>)"
        << "\n"
        << R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 )" << size << " " << size
        << R"(" shape-rendering="crispEdges">)"
        << "\n"
        << R"(<rect width=")" << size << R"(" height=")" << size << R"(" fill="#fff"/>)"
        << "\n"
        << R"(<path fill="#000" d=")";
    for (int y = 0; y < modules.width(); ++y)
        for (int x = 0; x < modules.width(); ++x)
            if (modules.dark(x, y))
                out << "M" << x + margin << " " << y + margin << "h1v1h-1z";
    out << "\"/>\n</svg>\n";
    return out.take();
}

} // namespace imprint::server
