"""An ordinary Optuna script that sizes a circuit. Try it from the repository:

python -m leaderboard.check_agent "stdio:python examples/third_party/optuna_agent.py"
"""

import optuna
from acs_gym_agent import connect


def suggest(trial, parameter):
    """One parameter of a design, within its bounds, on its scale."""
    name, low, high = parameter["name"], parameter["low"], parameter["high"]
    if parameter["integer"]:
        return trial.suggest_int(name, int(low), int(high))
    return trial.suggest_float(name, low, high, log=parameter["scale"] == "log")


def main():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with connect("optuna-script", optuna.__version__) as session:
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=session.seed)
        )
        while session.remaining:
            trial = study.ask()
            design = {p["name"]: suggest(trial, p) for p in session.task["parameters"]}
            study.tell(trial, session.simulate(design)["score"])
        print("best score:", study.best_value)


if __name__ == "__main__":
    main()
