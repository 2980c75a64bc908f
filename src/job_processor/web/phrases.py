"""What was done, and what is asked before it is done, as sentences in English and in French."""

from __future__ import annotations

from collections.abc import Mapping

from job_processor.web.numbers import grouped

_DONE: Mapping[str, tuple[str, str]] = {
    "killed": ("{name} killed.", "Job « {name} » interrompu."),
    "kill asked": (
        "{name} is being killed: its worker has been asked to stop it.",
        "Job « {name} » en cours d'interruption : son worker a reçu la demande.",
    ),
    "not killed": (
        "{name} was left as it is: it had ended already ({status}).",
        "Job « {name} » laissé tel quel : il était déjà terminé ({status}).",
    ),
    "retried": (
        "{name} runs again: it is in the queue, with all its attempts.",
        "Job « {name} » relancé : il est de retour dans la file, avec toutes ses tentatives.",
    ),
    "retried from": (
        "{name} runs again from step {step}.",
        "Job « {name} » relancé à partir de l'étape {step}.",
    ),
    "retried since": (
        "{name} was retried and has ended since: {status}.",
        "Job « {name} » relancé, puis terminé ; son état : {status}.",
    ),
    "killed since": (
        "{name} was killed and has been retried since: {status}.",
        "Job « {name} » interrompu, puis relancé ; son état : {status}.",
    ),
    "gone since": ("{name} is not there any more.", "Job « {name} » supprimé depuis."),
    "deleted": ("{name} deleted.", "Job « {name} » supprimé."),
    "scheduled": ("{name} scheduled as a new job.", "Nouveau job « {name} » programmé."),
    "cron run": ("Cron {name} runs now, as a job of its own.", "Cron « {name} » lancé maintenant."),
    "paused": (
        "{name} paused: no worker starts it; running jobs continue.",
        "« {name} » mis en pause : aucun worker ne le démarre, ce qui tourne continue.",
    ),
    "resumed": ("{name} resumed.", "« {name} » repris."),
    "tag paused": (
        "Tag {name} paused: no worker starts its jobs; running jobs continue.",
        "Tag « {name} » mis en pause : aucun worker ne démarre ses jobs, ce qui tourne continue.",
    ),
    "tag resumed": ("Tag {name} resumed.", "Tag « {name} » repris."),
    "schedule paused": ("Schedule {name} paused.", "Planification « {name} » mise en pause."),
    "schedule resumed": ("Schedule {name} resumed.", "Planification « {name} » reprise."),
    "schedule removed": (
        "Schedule {name} removed. The jobs that it made stay.",
        "Planification « {name} » supprimée. Les jobs qu'elle a créés restent.",
    ),
    "stopped": (
        (
            "Worker {name} has been asked to stop: it takes no new jobs and ends when those that "
            "it runs have ended."
        ),
        (
            "Arrêt demandé au worker {name} : il ne prend plus de jobs et s'arrête quand ceux "
            "qu'il exécute sont terminés."
        ),
    ),
    "group killed": (
        "{n} job of the group killed.|{n} jobs of the group killed.",
        "{n} job du groupe interrompu.|{n} jobs du groupe interrompus.",
    ),
    "group retried": (
        "{n} job of the group runs again.|{n} jobs of the group run again.",
        "{n} job du groupe relancé.|{n} jobs du groupe relancés.",
    ),
    "flow killed": (
        "{n} job of the flow killed.|{n} jobs of the flow killed.",
        "{n} job du flux interrompu.|{n} jobs du flux interrompus.",
    ),
    "flow retried": (
        "{n} job of the flow runs again.|{n} jobs of the flow run again.",
        "{n} job du flux relancé.|{n} jobs du flux relancés.",
    ),
    "limit set": ("Limit {name} is {amount} now.", "Limite « {name} » fixée à {amount}."),
    "limit reset": (
        "Limit {name} is again what the code says.",
        "Limite « {name} » rétablie à la valeur du code.",
    ),
    "rate set": ("Rate {name} is {amount} now.", "Débit « {name} » fixé à {amount}."),
    "rate reset": (
        "Rate {name} is again what the code says.",
        "Débit « {name} » rétabli à la valeur du code.",
    ),
    "held": (
        "Rate {name} is held for {amount}: nothing starts until then.",
        "Débit « {name} » retenu pendant {amount} : rien ne démarre d'ici là.",
    ),
    "released": ("The hold of rate {name} has ended.", "Débit « {name} » relâché."),
    "retry many": (
        "{n} job runs again.|{n} jobs run again.",
        "{n} job relancé.|{n} jobs relancés.",
    ),
    "kill many": ("{n} job killed.|{n} jobs killed.", "{n} job interrompu.|{n} jobs interrompus."),
    "delete many": ("{n} job deleted.|{n} jobs deleted.", "{n} job supprimé.|{n} jobs supprimés."),
    "left ended": (
        "{n} left as it was: it had ended already.|{n} left as they were: they had ended already.",
        (
            "{n} laissé tel quel : il était déjà terminé.|{n} laissés tels quels : ils étaient "
            "déjà terminés."
        ),
    ),
    "left active": (
        "{n} left as it was: it has not ended yet.|{n} left as they were: they have not ended yet.",
        (
            "{n} laissé tel quel : il n'est pas encore terminé.|{n} laissés tels quels : ils ne "
            "sont pas encore terminés."
        ),
    ),
    "left running": (
        (
            "{n} left as it was: it is running, so kill it first.|{n} left as they were: they are "
            "running, so kill them first."
        ),
        (
            "{n} laissé tel quel : il est en cours, interrompez-le d'abord.|{n} laissés tels quels "
            ": ils sont en cours, interrompez-les d'abord."
        ),
    ),
    "left gone": (
        "{n} is not there any more.|{n} are not there any more.",
        "{n} n'existe plus.|{n} n'existent plus.",
    ),
    "left exclusive": (
        (
            "{n} left as it was: another job of its name is active, and it is exclusive.|{n} left "
            "as they were: other jobs of their names are active, and they are exclusive."
        ),
        (
            "{n} laissé tel quel : un autre job du même nom est actif, et il est exclusif.|{n} "
            "laissés tels quels : d'autres jobs des mêmes noms sont actifs, et ils sont exclusifs."
        ),
    ),
    "left other": (
        "{n} left as it was.|{n} left as they were.",
        "{n} laissé tel quel.|{n} laissés tels quels.",
    ),
}

_ASKED: Mapping[str, tuple[str, str]] = {
    "kill?": ("Kill {name}?", "Interrompre le job « {name} » ?"),
    "kill: why": (
        "It is running. What it has done so far stays done, the rest is not done.",
        "Il est en cours. Ce qu'il a déjà fait reste fait, le reste ne le sera pas.",
    ),
    "delete?": ("Delete {name}?", "Supprimer le job « {name} » ?"),
    "stop?": ("Stop worker {name}?", "Arrêter le worker {name} ?"),
    "stop: why": (
        (
            "It takes no new jobs and ends when those that it runs have ended. A supervisor may "
            "start it again."
        ),
        (
            "Il ne prendra plus de jobs et s'arrêtera quand ceux qu'il exécute seront terminés. Un "
            "superviseur peut le relancer."
        ),
    ),
    "run_cron?": ("Run cron {name} now?", "Lancer le cron « {name} » maintenant ?"),
    "run_cron: why": (
        "It runs once more, beside its schedule, as soon as a worker is free.",
        "Il s'exécutera une fois de plus, en dehors de ses horaires, dès qu'un worker sera libre.",
    ),
    "remove_schedule?": ("Remove schedule {name}?", "Supprimer la planification « {name} » ?"),
    "remove_schedule: why": (
        "It makes no more jobs. The jobs that it has made stay.",
        "Elle ne créera plus de jobs. Ceux qu'elle a créés restent.",
    ),
    "kill_flow?": ("Kill flow {name}?", "Interrompre le flux « {name} » ?"),
    "kill_group?": (
        "Kill all members of group {name}?",
        "Interrompre tous les membres du groupe {name} ?",
    ),
    "kill_many: why": (
        "Its jobs that wait or run are killed. Those that have ended stay as they are.",
        (
            "Ses jobs en attente ou en cours seront interrompus. Ceux qui sont terminés restent "
            "tels quels."
        ),
    ),
    "delete: why": (
        "A deleted job cannot be restored.",
        "Un job supprimé ne peut pas être récupéré.",
    ),
    "retry jobs?": ("Retry {n} job?|Retry {n} jobs?", "Relancer {n} job ?|Relancer {n} jobs ?"),
    "kill jobs?": ("Kill {n} job?|Kill {n} jobs?", "Interrompre {n} job ?|Interrompre {n} jobs ?"),
    "delete jobs?": (
        "Delete {n} job?|Delete {n} jobs?",
        "Supprimer {n} job ?|Supprimer {n} jobs ?",
    ),
    "retry over?": ("Retry over {n} jobs?", "Relancer plus de {n} jobs ?"),
    "kill over?": ("Kill over {n} jobs?", "Interrompre plus de {n} jobs ?"),
    "delete over?": ("Delete over {n} jobs?", "Supprimer plus de {n} jobs ?"),
    "kill jobs: why": (
        (
            "Running jobs are stopped; their work so far is not undone. Jobs that have ended do "
            "not change."
        ),
        (
            "Ce qui tourne est arrêté ; ce qui est déjà fait reste fait. Les jobs terminés restent "
            "tels quels."
        ),
    ),
    "retry jobs: why": (
        (
            "They go back into the queue, with all their attempts. Jobs that have not ended do "
            "not change."
        ),
        (
            "Ils retournent dans la file, avec toutes leurs tentatives. Les jobs qui ne sont pas "
            "terminés restent tels quels."
        ),
    ),
    "delete jobs: why": (
        "Deleted jobs cannot be restored. Running jobs are not deleted.",
        "Un job supprimé ne peut pas être récupéré. Les jobs en cours ne sont pas supprimés.",
    ),
    "grown": (
        "There are more of them now. Look again.",
        "Il y en a davantage maintenant. Vérifiez avant de confirmer.",
    ),
}

_TOLD: Mapping[str, tuple[str, str]] = {
    "workers alive": ("{n} worker alive|{n} workers alive", "{n} worker actif|{n} workers actifs"),
    "failed in the last hour": (
        "{n} failed in the last hour|{n} failed in the last hour",
        "{n} échec définitif depuis une heure|{n} échecs définitifs depuis une heure",
    ),
    "in the hour before": (
        "{n} in the hour before|{n} in the hour before",
        "{n} l'heure précédente|{n} l'heure précédente",
    ),
    "retried in the last hour": (
        "{n} failed attempt retried in the last hour|{n} failed attempts retried in the last hour",
        "{n} échec relancé depuis une heure|{n} échecs relancés depuis une heure",
    ),
    "missed in the last day": (
        "{n} missed occurrence in the last day|{n} missed occurrences in the last day",
        "{n} occurrence manquée en 24 heures|{n} occurrences manquées en 24 heures",
    ),
    "rescued": (
        "{n} of its jobs rescued|{n} of its jobs rescued",
        "{n} de ses jobs repris|{n} de ses jobs repris",
    ),
    "wait for a limit": (
        "{n} job parked (limit, rate or other jobs)|{n} jobs parked (limit, rate or other jobs)",
        "{n} job retenu (limite, débit ou autre job)|{n} jobs retenus (limite, débit, autre job)",
    ),
    "more of them": ("{n} more|{n} more", "{n} de plus|{n} de plus"),
}

PHRASES: Mapping[str, tuple[str, str]] = {**_DONE, **_ASKED, **_TOLD}
"""English and French; of two parts with `|` between them the second is for several."""


def phrase(key: str, language: str, of: Mapping[str, str | int]) -> str:
    """Return a sentence; `n` of `of` is how many there are."""
    one, _, several = PHRASES[key][language == "fr"].partition("|")
    n = of.get("n", 1)
    is_one = n == 1 or (n == 0 and language == "fr")
    shown = {
        name: grouped(each, language) if isinstance(each, int) else each
        for name, each in of.items()
    }
    return _spaced(one if is_one or not several else several).format_map(shown)


_NBSP = "\N{NO-BREAK SPACE}"


def _spaced(text: str) -> str:
    """Return a text whose signs stay on the line of the word that they belong to."""
    for sign in "?:;»":
        text = text.replace(f" {sign}", f"{_NBSP}{sign}")
    return text.replace("« ", f"«{_NBSP}")
