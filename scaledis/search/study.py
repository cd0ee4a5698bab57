"""The study of a search, which keeps its trials by Optuna. `pip install scaledis[search]`.

study.db         SQLite, for one process
study.journal    Optuna's journal, for shards: the locks of SQLite break on network disks

Both lie in the work directory, and the study is named "search"; Optuna's dashboard reads them.
"""

import contextlib
import datetime
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from scaledis.core import UserError
from scaledis.search import samplers
from scaledis.search.samplers import Params, Question, optuna
from scaledis.search.settings import Settings
from scaledis.workdir.layout import Workdir
from scaledis.workdir.storage import first_line
from scaledis.workdir.trials import Trial

NAME = "search"
FEWEST = 20  # complete trials that an importance needs: it compares the best tenth with all
OWN = {"runs", "why", "batch", "shard"}  # attributes of a trial that this search has begun
STATES = {"RUNNING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
OURS = {ours: theirs for theirs, ours in STATES.items()}


class Study:
    """The study of a work directory, made where it is missing. A trial changes in it whole, or not at all.

    All methods raise UserError if Optuna is missing, and if the study cannot be read or written.
    """

    def __init__(self, workdir: Workdir, settings: Settings, several: bool):
        """`several`: whether shards share the study."""
        self._settings, self._root = settings, workdir.root
        library, journal = optuna(), workdir.root / "study.journal"
        with self._errors():
            if several or journal.exists():
                storage = library.storages.JournalStorage(library.storages.journal.JournalFileBackend(str(journal)))
            else:
                storage = library.storages.RDBStorage(f"sqlite:///{(workdir.root / 'study.db').absolute()}")
            self._study = library.create_study(
                storage=storage,
                sampler=library.samplers.RandomSampler(),  # of which nothing is asked
                study_name=NAME,
                directions=[{"max": "maximize", "min": "minimize"}[best] for _, best in settings.objectives],
                load_if_exists=True,
            )

    def trials(self) -> list[Trial]:
        """Returns the trials that this search has begun, without those that somebody has added by Optuna itself."""
        return [self._trial(each) for each in self._all() if OWN <= each.user_attrs.keys()]

    def propose(self) -> tuple[int, Params]:
        """Returns the number of the next trial, and its value of each key."""
        number = len(self._all())
        asked = Question(self._study, self._settings.space, self._settings.seed, number)
        with self._errors():
            return number, samplers.SAMPLERS[self._settings.sampler](asked)

    def begin(self, trial: Trial, size: int) -> None:
        """Adds a trial that runs or has failed; its batch will have `size` trials."""
        space, now = self._settings.space, datetime.datetime.now()
        about = {"runs": list(trial.runs), "why": trial.why, "batch": trial.batch, "shard": trial.shard}
        with self._errors():
            self._study.add_trial(
                optuna().trial.FrozenTrial(
                    number=-1,  # the study numbers it
                    trial_id=-1,
                    state=optuna().trial.TrialState[OURS[trial.state]],
                    value=None,
                    datetime_start=now,
                    datetime_complete=now if trial.state == "failed" else None,
                    params={key: samplers.kept(each, trial.params[key]) for key, each in space.items()},
                    distributions=samplers.distributions(space),
                    user_attrs={**about, "size": size},
                    system_attrs={},
                    intermediate_values={},
                )
            )

    def size(self, batch: int) -> int:
        """Returns the number of trials of a batch, including those that have not begun."""
        return int(self._all()[batch].user_attrs["size"])

    def tell(self, trial: Trial, rungs: Sequence[tuple[int, float]] = ()) -> None:
        """Ends a running trial as its state, values and reason say.

        `rungs` has (step, number) of each rung that a pruned trial has reached.
        """
        with self._errors():
            storage, key = self._study._storage, self._all()[trial.number]._trial_id
            for step, number in rungs:
                storage.set_trial_intermediate_value(key, step, number)
            storage.set_trial_user_attr(key, "why", trial.why)
            self._study.tell(trial.number, list(trial.values) or None, optuna().trial.TrialState[OURS[trial.state]])

    def importance(self) -> dict[str, dict[str, float]]:
        """Returns the share of each objective's variance that each key explains (PED-ANOVA, Watanabe et al. 2023).

        It is {} with fewer than twenty complete trials, or with a single key.
        """
        complete = sum(each.state.name == "COMPLETE" for each in self._all())
        if complete < FEWEST or len(self._settings.space) < 2:
            return {}
        library, found = optuna(), {}
        evaluator = library.importance.PedAnovaImportanceEvaluator(evaluate_on_local=False)
        for place, (by, best) in enumerate(self._settings.objectives):
            sign = 1 if best == "min" else -1  # it looks for the least

            def target(trial: Any, place: int = place, sign: int = sign) -> float:
                return sign * float(trial.values[place])

            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "PedAnova.* computes the importances")  # of low values, as wanted
                shares = library.importance.get_param_importances(self._study, evaluator=evaluator, target=target)
            found[by] = {key: float(share) for key, share in shares.items()}
        return found

    def _all(self) -> Any:
        """Returns the trials as Optuna has them."""
        with self._errors():
            return self._study.get_trials(deepcopy=False)

    def _trial(self, held: Any) -> Trial:
        about = {key: held.user_attrs[key] for key in OWN}
        values = [float(each) for each in held.values] if held.state.name == "COMPLETE" else []
        params = {key: samplers.given(each, held.params[key]) for key, each in self._settings.space.items()}
        return Trial(held.number, STATES[held.state.name], params, values=values, **about)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises the errors of a storage as UserError."""
        try:
            yield
        except _raised() as error:
            raise UserError(f"--search: the study in {self._root} cannot be used: {first_line(error)}.") from error


def _raised() -> tuple[type[Exception], ...]:
    """Returns the classes of errors that Optuna and its storages raise."""
    from sqlalchemy.exc import SQLAlchemyError  # comes with Optuna

    return OSError, ValueError, KeyError, optuna().exceptions.OptunaError, SQLAlchemyError
