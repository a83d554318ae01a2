// SPDX-License-Identifier: Apache-2.0
#include "tests/archive/nginx.h"

#include <stdexcept>

namespace imprint::test {

Nginx::Nginx(const std::filesystem::path& mirror)
{
    const std::string here = directory_.path();
    const std::string configuration = "daemon off; master_process off; pid " + here + "/pid;\n" +
        "events {}\nhttp { access_log off; keepalive_requests 1000000; client_body_temp_path " + here +
        "/body; proxy_temp_path " + here + "/p; fastcgi_temp_path " + here + "/f; uwsgi_temp_path " + here +
        "/u; scgi_temp_path " + here + "/s;\nserver { listen unix:" + here + "/socket; root " + mirror.string() +
        ";\n"
        "default_type application/vnd.imprint.record;\n"
        "location /v1/ { try_files $uri $uri/newest =404; }\n"
        "location / { return 404; }\n"
        "} }\n";
    write_file(directory_ / "nginx.conf", as_bytes(configuration));
    process_.emplace(Arguments{"nginx", "-e", "stderr", "-c", directory_ / "nginx.conf"}, Environment{},
                     directory_ / "log");
    const auto probe = run({"timeout", "20", "sh", "-c",
                            "until curl -s --unix-socket " + here + "/socket http://x/ >/dev/null; do :; done"});
    if (probe.status != 0)
        throw std::runtime_error("nginx does not start: " +
                                 to_string(read_file(directory_ / "log", 1 << 20).value_or(Bytes())));
}

std::pair<std::string, Bytes> Nginx::get(const std::string& path) const
{
    const auto got = run({"curl", "-s", "-o", directory_ / "answer", "-w", "%{http_code}", "--unix-socket",
                          directory_ / "socket", "http://mirror" + path});
    return {got.out, read_file(directory_ / "answer", 1 << 20).value_or(Bytes())};
}

} // namespace imprint::test
