"""The words of the pages, in English and in French."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from job_processor.web.cookies import cookie_of

LANGUAGES = {"en": "English", "fr": "Français"}
COOKIE = "job_processor_language"

_STATUSES = {
    "pending": "Programmé",
    "queued": "En attente",
    "running": "En cours",
    "finished": "Terminé",
    "errored": "Erreur",
    "paused": "En pause",
    "killed": "Annulé",
    "skipped": "Ignoré",
    "retried": "Repris",
}
"""As the French pages of the Node package name them."""

FRENCH: Mapping[str, str] = {
    **_STATUSES,
    "Steps": "Étapes",
    "earlier steps": "étapes précédentes",
    "slept until": "en pause jusqu'à",
    "sleeps until": "en pause jusqu'à",
    "Retry from the beginning": "Relancer du début",
    "Retry with what was skipped": "Relancer avec les jobs passés",
    "Comes after": "Vient après",
    "Followed by": "Suivi de",
    "Overview": "Vue d'ensemble",
    "Jobs": "Jobs",
    "Job": "Job",
    "Crons": "Crons",
    "Schedules": "Planifications",
    "No schedules.": "Pas de planifications.",
    "Remove": "Supprimer",
    "First page": "Première page",
    "last job": "dernier job",
    "next": "prochain",
    "Workers": "Workers",
    "Audit": "Journal",
    "Skip to the content": "Aller au contenu",
    "Pages": "Pages",
    "Language": "Langue",
    "live": "en direct",
    "not connected": "déconnecté",
    "read only": "lecture seule",
    "Now": "Maintenant",
    "waiting": "en attente",
    "due": "dus",
    "Running now": "En cours",
    "Nothing is running.": "Rien n'est en cours.",
    "Needs attention": "À regarder",
    "Nothing needs attention.": "Rien à signaler.",
    "The last hour": "La dernière heure",
    "The last day": "Les dernières 24 heures",
    "finished runs and failed attempts": "terminées, tentatives manquées",
    "a minute": "par minute",
    "in ten minutes": "par dix minutes",
    "done": "terminées",
    "failed": "manquées",
    "Queue delay": "Délai d'attente",
    "half begin within": "la moitié commence en",
    "95 of 100 begin within": "95 sur 100 commencent en",
    "Nothing began in the last hour.": "Rien n'a commencé dans la dernière heure.",
    "Due next": "Bientôt dus",
    "No crons.": "Pas de crons.",
    "No worker is alive.": "Aucun worker en vie.",
    "paused by hand": "mis en pause",
    "failures in the last hour": "échecs dans la dernière heure",
    "no living worker takes this name": "aucun worker en vie ne prend ce nom",
    "a worker gave its last sign of life": "un worker a donné son dernier signe de vie",
    "no sign of life": "sans signe de vie",
    "runs for a long time": "tourne depuis longtemps",
    "name": "nom",
    "status": "état",
    "type": "type",
    "tag": "tag",
    "worker": "worker",
    "error": "erreur",
    "payload": "charge",
    "payload field": "champ de la charge",
    "from": "de",
    "to": "à",
    "any": "tous",
    "Filter": "Filtrer",
    "Clear": "Effacer",
    "More": "Plus",
    "jobs": "jobs",
    "over": "plus de",
    "newest first": "plus récents d'abord",
    "oldest first": "plus anciens d'abord",
    "looked through are the newest 50,000 of the selection": (
        "seuls les 50 000 plus récents de la sélection sont parcourus"
    ),
    "There are no such jobs.": "Aucun job de ce genre.",
    "select": "choisir",
    "Select all on this page": "Tout choisir sur cette page",
    "With the selected": "Avec les jobs choisis",
    "With all that match": "Avec tous ceux qui correspondent",
    "Retry": "Relancer",
    "Kill": "Arrêter",
    "Delete": "Supprimer",
    "Run again": "Exécuter à nouveau",
    "with this payload": "avec cette charge",
    "Previous page": "Page précédente",
    "Next page": "Page suivante",
    "id": "id",
    "when": "quand",
    "took": "durée",
    "total": "au total",
    "crashed on": "worker tombé",
    "rescued by": "repris par",
    "unknown": "inconnu",
    "detail": "détail",
    "progress": "avancement",
    "Timeline": "Chronologie",
    "created": "créé",
    "scheduled": "prévu",
    "Cancel": "Annuler",
    "What is deleted cannot be brought back.": "Ce qui est supprimé ne peut pas être récupéré.",
    "Others are left as they are.": "Les autres restent inchangés.",
    "latest run": "dernière exécution",
    "d": "j",
    "memory": "mémoire",
    "MB": "Mo",
    "started": "démarré",
    "ended": "terminé",
    "expires": "expire",
    "attempt": "tentative",
    "priority": "priorité",
    "unique key": "clé unique",
    "lane": "file",
    "Limits": "Limites",
    "Rates": "Débits",
    "Limits and rates": "Limites et débits",
    "limit": "limite",
    "limit not known here": "limite inconnue ici",
    "at a time": "à la fois",
    "at once": "d'un coup",
    "for each": "par",
    "in each worker": "dans chaque worker",
    "in order": "dans l'ordre",
    "set by hand": "changé à la main",
    "the code says": "le code dit",
    "As the code says": "Comme dans le code",
    "Set": "Changer",
    "Hold": "Retenir",
    "Release": "Relâcher",
    "rate": "débit",
    "seconds": "secondes",
    "next start": "prochain départ",
    "held for": "retenu pendant",
    "in line": "dans la file",
    "parked": "bloqués",
    "Next": "Suivants",
    "Have a slot": "Occupent une place",
    "all jobs of this lane": "tous les jobs de cette file",
    "stopped by": "arrêtée par",
    "a failed job": "un job en erreur",
    "stops its lane": "arrête sa file",
    "Nothing starts there until it is retried or deleted.": (
        "Rien n'y commence avant qu'il soit relancé ou supprimé."
    ),
    "Nothing starts here until this failed job is retried or deleted": (
        "Rien ne commence ici avant que ce job en erreur soit relancé ou supprimé"
    ),
    "Nothing runs or waits.": "Rien n'est en cours ni en attente.",
    "There are more lanes; these are the fullest of those that were looked at.": (
        "Il y a d'autres files ; voici les plus pleines de celles qui ont été regardées."
    ),
    "No limits.": "Pas de limites.",
    "No rates.": "Pas de débits.",
    "a slot of {lane}": "une place de {lane}",
    "the end of what it comes after": "la fin de ce qu'il suit",
    "waits for": "attend",
    "Result": "Résultat",
    "Error": "Erreur",
    "Log": "Journal d'exécution",
    "Payload": "Charge",
    "Actions": "Actions",
    "in words": "en clair",
    "expression": "expression",
    "zone": "fuseau",
    "service": "service",
    "next five": "cinq prochaines",
    "last runs": "dernières exécutions",
    "Run now": "Exécuter maintenant",
    "Pause": "Mettre en pause",
    "Resume": "Reprendre",
    "host": "machine",
    "process": "processus",
    "version": "version",
    "tags": "tags",
    "all": "tous",
    "slots": "places",
    "last seen": "vu",
    "runs": "exécute",
    "Stop": "Arrêter proprement",
    "who": "qui",
    "what": "quoi",
    "on": "sur",
    "outcome": "résultat",
    "not completed": "pas terminé",
    "There are more of them now. Look again:": "Il y en a davantage maintenant. Vérifiez :",
    "Nobody has done anything yet.": "Personne n'a encore rien fait.",
    "Something is not right": "Quelque chose ne va pas",
    "Back to the overview": "Retour à la vue d'ensemble",
    "never": "jamais",
    "now": "maintenant",
    "ago": "il y a",
    "in": "dans",
    "Pause a name or a tag": "Mettre en pause un nom ou un tag",
}


def language_of(request: Request) -> str:
    """Return what somebody has chosen, else what the browser prefers, else English."""
    chosen = cookie_of(request, COOKIE)
    if chosen in LANGUAGES:
        return chosen
    best, weight = "en", 0.0
    for part in request.headers.get("accept-language", "").split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wanted = float(quality) if quality else 1.0
        except ValueError:
            continue
        language = tag.partition("-")[0].lower()
        if language in LANGUAGES and wanted > weight:
            best, weight = language, wanted
    return best


def translate(text: str, language: str) -> str:
    """Return a text of the pages in a language; one that is missing stays English."""
    return FRENCH.get(text, text) if language == "fr" else text
