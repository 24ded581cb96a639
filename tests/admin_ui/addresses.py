"""Every page with an example of its address. A test holds that no route is missing here."""

MOMENT = "2026-11-20T08%3A01%3A12.000000000%2B07%3A00"

GET_ADDRESSES = {
    "search.search_page": ["/", "/?q=dport:443&range=24h", "/?q="],
    "who.who_page": ["/who", f"/who?address=203.0.113.1&port=50000&at={MOMENT}"],
    "record.record_page": ["/record/0/0", "/record/0/0?check=1"],
    "record.record_proof": ["/record/0/0/proof"],
    "verify.verify_page": ["/verify"],
    "verify.checkpoint_file": ["/verify/checkpoint"],
    "packages.packages_page": ["/packages", "/packages?created=p1"],
    "packages.package_download": ["/packages/p1/download"],
    "status.status_page": ["/status"],
    "people.people_page": ["/people", "/people?q=som"],
}
OPEN_ADDRESSES = {
    "account.log_in": ["/login"],
    "account.set_up": ["/setup?secret=one-time-secret", "/setup"],
    "metrics.metrics_page": ["/metrics"],
}
POST_ADDRESSES = {
    "record.record_raw": "/record/0/0",
    "verify.verify_now": "/verify",
    "packages.package_create": "/packages",
    "people.person_add": "/people/add",
    "people.person_disable": "/people/disable",
    "people.person_password": "/people/password",
    "account.log_out": "/logout",
}
OPEN_POST_ADDRESSES = {"account.log_in": "/login", "account.set_up": "/setup"}
