"""Serves the page and the metrics of a daemon that runs, as its configuration says."""

from functools import partial

from anyio.abc import TaskGroup

from reconcilerd.cli.wiring import Plan
from reconcilerd.config.fields import address_of
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.web import api, downloads, login, meters, pages, standing
from reconcilerd.web.app import Wall, build
from reconcilerd.web.past import passed_of, past_of
from reconcilerd.web.serve import serve
from reconcilerd.web.sources import Sources
from reconcilerd.web.views import views_of


def start_page(group: TaskGroup, plan: Plan, sources: Sources, answers: Answers) -> None:
    """Serve in this group, unless the configuration says nowhere."""
    web, desk = plan.settings.web, sources.daemon.desk
    if not web.listen:
        return
    host, port = address_of(web.listen)

    def turned_away(how: str) -> None:
        desk.counts.turned_away["page"] += 1
        sources.daemon.health.surroundings.probed("page", how)

    wall = Wall(desk.clock, host, frozenset(web.hosts), plan.web_tokens, turned_away)
    views = views_of(
        sources, answers, past_of(plan.ledger, desk.readers), passed_of(plan.ledger, desk.readers)
    )
    tables = downloads.downloads_of(sources.daemon)
    for_people = [*pages.routes(views), *downloads.routes(tables, desk.clock), *api.routes(views, tables)]
    app = build([*meters.routes(sources), *standing.routes(sources), *for_people, *login.routes(wall)], wall)
    group.start_soon(keep_alive, "page", partial(serve, app, host, port))
