"""One module per page; each a blueprint."""

from admin_ui.pages import account, metrics, packages, people, record, search, status, verify, who

BLUEPRINTS = (
    account.blueprint,
    search.blueprint,
    who.blueprint,
    record.blueprint,
    verify.blueprint,
    packages.blueprint,
    status.blueprint,
    people.blueprint,
    metrics.blueprint,
)
