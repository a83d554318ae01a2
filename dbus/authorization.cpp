// SPDX-License-Identifier: Apache-2.0
#include "dbus/authorization.h"

#include "dbus/boundary.h"

#include <algorithm>
#include <chrono>

namespace imprint::dbus {

namespace {

// So that strangers cannot fill the memory with unanswered questions.
constexpr std::ptrdiff_t most_questions = 64;

// Somebody types a password meanwhile.
constexpr std::chrono::microseconds interactive_timeout = std::chrono::minutes(2);
constexpr std::chrono::microseconds timeout = std::chrono::seconds(10);

[[noreturn]] void deny(const std::string& why) { throw Error(Reason::not_authorized, why); }

void throw_if_error(sd_bus_message* reply)
{
    if (const auto* error = sd_bus_message_get_error(reply))
        deny(std::string("polkit or the bus cannot tell: ") +
             (error->message != nullptr ? error->message : error->name));
}

uid_t read_user(sd_bus_message* reply)
{
    throw_if_error(reply);
    const char* sender = sd_bus_message_get_sender(reply);
    if (sender == nullptr || std::string_view(sender) != "org.freedesktop.DBus")
        deny("somebody else answered for the bus");
    std::uint32_t user = 0;
    check(sd_bus_message_read(reply, "u", &user), "read the caller's user");
    return user;
}

// Returns if polkit says yes.
void read_verdict(sd_bus_message* reply, const char* action)
{
    throw_if_error(reply);
    int authorized = 0;
    int challenge = 0;
    check(sd_bus_message_enter_container(reply, 'r', "bba{ss}"), "read polkit's answer");
    check(sd_bus_message_read(reply, "bb", &authorized, &challenge), "read polkit's answer");
    if (authorized == 0)
        deny(std::string(action) + (challenge != 0 ? " needs an interactive authorization" : " is not allowed"));
}

void append_details(sd_bus_message* message, const Authorization::Details& details)
{
    dbus::check(sd_bus_message_open_container(message, 'a', "{ss}"), "ask polkit");
    for (const auto& [name, value] : details)
        dbus::check(sd_bus_message_append(message, "{ss}", name.c_str(), value.c_str()), "ask polkit");
    dbus::check(sd_bus_message_close_container(message), "ask polkit");
}

} // namespace

void Authorization::check(sd_bus_message* call, const char* action, Then then, Details details)
{
    questions_.push_back({this, keep(call), action, std::move(then), std::move(details), nullptr, false, 0, {}});
    auto& question = questions_.back();
    question.place = std::prev(questions_.end());
    sd_bus_slot* slot = nullptr;
    const int sent =
        sd_bus_call_method_async(bus_, &slot, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                 "GetConnectionUnixUser", on_user, &question, "s", sd_bus_message_get_sender(call));
    if (sent < 0)
        questions_.pop_back();
    dbus::check(sent, "ask the bus for the caller's user");
    question.pending.reset(slot);
}

// Ends the question: what is thrown on the way answers the call.
template <class Body>
void Authorization::settle(Question& question, Body&& body) noexcept
{
    std::list<Question> ended;
    ended.splice(ended.begin(), questions_, question.place);
    if (const auto failure = failure_of(std::forward<Body>(body)))
        reply_error(question.call.get(), *failure);
}

int Authorization::on_user(sd_bus_message* reply, void* data, sd_bus_error*) noexcept
{
    auto& question = *static_cast<Question*>(data);
    auto& self = *question.owner;
    bool asked = false;
    const auto failure = failure_of([&] {
        question.user = read_user(reply);
        if (question.user == 0)
            return;
        self.ask_polkit(question);
        asked = true;
    });
    if (asked)
        return 1;
    self.settle(question, [&] {
        if (failure)
            throw Error(*failure);
        question.then(question.call.get(), question.user);
    });
    return 1;
}

void Authorization::ask_polkit(Question& question)
{
    if (std::ranges::count(questions_, true, &Question::with_polkit) >= most_questions)
        throw Error(Reason::busy, "too many callers wait for polkit");
    const bool interactive = sd_bus_message_get_allow_interactive_authorization(question.call.get()) > 0;
    sd_bus_message* raw = nullptr;
    dbus::check(sd_bus_message_new_method_call(bus_, &raw, "org.freedesktop.PolicyKit1",
                                               "/org/freedesktop/PolicyKit1/Authority",
                                               "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization"),
                "ask polkit");
    const Message message(raw);
    dbus::check(sd_bus_message_append(raw, "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                      sd_bus_message_get_sender(question.call.get()), question.action),
                "ask polkit");
    append_details(raw, question.details);
    dbus::check(sd_bus_message_append(raw, "us", interactive ? 1U : 0U, ""), "ask polkit");
    sd_bus_slot* slot = nullptr;
    const auto patience = interactive ? interactive_timeout : timeout;
    dbus::check(sd_bus_call_async(bus_, &slot, raw, on_polkit, &question, static_cast<std::uint64_t>(patience.count())),
                "ask polkit");
    question.pending.reset(slot);
    question.with_polkit = true;
}

int Authorization::on_polkit(sd_bus_message* reply, void* data, sd_bus_error*) noexcept
{
    auto& question = *static_cast<Question*>(data);
    question.owner->settle(question, [&] {
        read_verdict(reply, question.action);
        question.then(question.call.get(), question.user);
    });
    return 1;
}

} // namespace imprint::dbus
