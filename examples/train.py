"""Train a small loan model twice, and keep rows it has not seen: what the tour of the README starts from.

    python examples/train.py FOLDER

writes first.joblib (trained on few rows), second.joblib (on many) and heldout.csv.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

NUMBERS = ["income", "amount"]
TEXTS = ["purpose"]
BEARABLE = 5


def people(rows: int, seed: int) -> pd.DataFrame:
    """Applicants, and whether they paid back."""
    random = np.random.default_rng(seed)
    income = random.uniform(1_000, 9_000, rows).astype("float32")
    amount = random.uniform(500, 40_000, rows).astype("float32")
    purpose = random.choice(["car", "house", "holiday"], rows)
    burden = amount / income + 2 * (purpose == "holiday")
    repaid = (burden < BEARABLE).astype("int64")
    return pd.DataFrame({"income": income, "amount": amount, "purpose": purpose, "repaid": repaid})


def pipeline() -> Pipeline:
    """Numbers as they are, texts one-hot, boosted trees."""
    columns = ColumnTransformer(
        [("numbers", "passthrough", NUMBERS), ("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS)],
    )
    return Pipeline([("columns", columns), ("trees", GradientBoostingClassifier(random_state=0))])


def main(folder: Path) -> None:
    """Train and write."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("first", 2_000), ("second", 8_000)):
        seen = people(rows, seed=rows)
        fitted = pipeline().fit(seen[NUMBERS + TEXTS], seen["repaid"])
        joblib.dump(fitted, folder / f"{name}.joblib")
    people(2_000, seed=1).to_csv(folder / "heldout.csv", index=False)
    print(f"wrote first.joblib, second.joblib and heldout.csv to {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
