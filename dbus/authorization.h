// SPDX-License-Identifier: Apache-2.0
// Who may change the device's state: root always, everybody else if polkit says so. Nothing here waits.
#pragma once

#include "dbus/handles.h"

#include <sys/types.h>

#include <functional>
#include <list>
#include <string>
#include <utility>
#include <vector>

namespace imprint::dbus {

class Authorization {
public:
    explicit Authorization(sd_bus* bus)
        : bus_(bus)
    {
    }
    Authorization(const Authorization&) = delete;
    Authorization& operator=(const Authorization&) = delete;

    // Runs `then` in the loop once the sender of `call` is known to be authorized for polkit's `action` (a literal);
    // otherwise answers the call with NotAuthorized. The subject is the sender's unique name on the bus, which no
    // other process can take over. The user is asked only if the call allows it. What `then` throws answers the call.
    // Callers beyond what polkit can be asked for at once get Busy; root is never among them.
    // `user` is the sender's.
    using Then = std::function<void(sd_bus_message* call, uid_t user)>;
    // What rules may ask for by action.lookup(), beside the action itself.
    using Details = std::vector<std::pair<std::string, std::string>>;
    void check(sd_bus_message* call, const char* action, Then then, Details details = {});

private:
    struct Question {
        Authorization* owner;
        Message call;
        const char* action;
        Then then;
        Details details;
        Slot pending;
        bool with_polkit;
        uid_t user;
        std::list<Question>::iterator place;
    };
    static int on_user(sd_bus_message* reply, void* question, sd_bus_error*) noexcept;
    static int on_polkit(sd_bus_message* reply, void* question, sd_bus_error*) noexcept;
    void ask_polkit(Question& question);
    template <class Body>
    void settle(Question& question, Body&& body) noexcept;

    sd_bus* bus_;
    std::list<Question> questions_;
};

} // namespace imprint::dbus
