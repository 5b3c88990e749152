"""E-mail: plain text, one message for all that belongs together, over TLS or not at all."""

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage

import anyio.to_thread

from reconcilerd.alerting.engine import NotTaken, Permanent
from reconcilerd.alerting.outbox import Notice, Pace
from reconcilerd.alerting.wording import cut, details_of, headline, runbook, since, within
from reconcilerd.domain.alerts import SEVERITIES
from reconcilerd.domain.facts import Transition
from reconcilerd.domain.visible import visible

PATIENCE_S = 20.0
BUDGET = 60_000
SUBJECT = 150
MORE = "and {count} more: reconcilerd alerts list"
LEFT_OUT = "and {count} more lines: reconcilerd digest"


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in. ``tls`` False is for a server on this machine."""

    host: str
    port: int = 587
    user: str = ""
    password: str = ""
    tls: bool = True


class Mail:
    """Handed to one server; what it takes is taken."""

    name = "mail"

    def __init__(
        self,
        server: Server,
        sender: str,
        recipients: Sequence[str],
        context: ssl.SSLContext,
        pace: Pace | None = None,
        instance: str = "",
    ) -> None:
        self.pace = pace or Pace()
        self._instance = instance
        self._server = server
        self._sender = sender
        self._recipients = list(recipients)
        self._context = context

    async def tell(self, notices: Sequence[Notice]) -> Mapping[str, str]:
        message = message_of(notices, self._sender, self._recipients, self._instance)
        await anyio.to_thread.run_sync(self._hand_in, message)
        return {}

    async def publish(self, title: str, lines: Sequence[str]) -> None:
        """Mail what is no alert."""
        text = within([visible(each) for each in lines], BUDGET, LEFT_OUT)
        message = _addressed(cut(visible(title), SUBJECT), text, self._sender, self._recipients)
        await anyio.to_thread.run_sync(self._hand_in, message)

    def _hand_in(self, message: EmailMessage) -> None:
        server = self._server
        try:
            with smtplib.SMTP(server.host, server.port, timeout=PATIENCE_S) as smtp:
                if server.tls:
                    smtp.starttls(context=self._context)
                if server.user:
                    smtp.login(server.user, server.password)
                smtp.send_message(message)
        except smtplib.SMTPNotSupportedError:
            raise Permanent("the mail server offers no TLS, or no log-in") from None
        except smtplib.SMTPAuthenticationError as refused:
            raise Permanent(f"the mail server refuses the log-in ({refused.smtp_code})") from None
        except smtplib.SMTPResponseException as answered:
            kind = Permanent if answered.smtp_code >= 500 else NotTaken
            raise kind(f"the mail server answered {answered.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused:
            raise Permanent("the mail server takes none of the recipients") from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotTaken(f"the mail server: {type(error).__name__}") from None


def message_of(
    notices: Sequence[Notice], sender: str, recipients: Sequence[str], instance: str = ""
) -> EmailMessage:
    """The mail. Its subject is the worst of what it says."""
    worst = min(notices, key=lambda each: (each.transition is Transition.RESOLVED, _rank(each)))
    more = f" (and {len(notices) - 1} more)" if len(notices) > 1 else ""
    text = within([_paragraph(each, instance) for each in notices], BUDGET, MORE)
    return _addressed(cut(headline(worst), SUBJECT) + more, text, sender, recipients)


def _addressed(subject: str, text: str, sender: str, recipients: Sequence[str]) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message.set_content(text)
    return message


def _rank(notice: Notice) -> int:
    return SEVERITIES.index(notice.episode.severity)


def _paragraph(notice: Notice, instance: str) -> str:
    lines = [headline(notice), f"  {since(notice, instance)}, {visible(notice.episode.key)}"]
    lines += [f"  {name}: {text}" for name, text in details_of(notice.episode)]
    return "\n".join([*lines, f"  more: {runbook(notice.episode)}", ""])
