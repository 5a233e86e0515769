#!/usr/bin/env python3
"""Writes small model files with the tools that fit them, and what the tools predict: the vectors of the import tests.

Fits on the first hospital of scenarios/data/heart-disease; the survival times of the Cox regression are drawn here, since that data
set has none. Versions stand in requirements.txt.
"""

import json
import pathlib
import warnings

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor
from lifelines import CoxPHFitter
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import SplineTransformer

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parents[3] / "scenarios/data/heart-disease"
NUMBERS = ["age_years", "peak_heart_rate_bpm", "st_depression_mm"]
WORDS = ["sex", "chest_pain_type"]

warnings.filterwarnings("ignore")
expected = {}


def read(number):
    table = pd.read_csv(DATA / f"hospital-{number}/features.csv", dtype={name: "object" for name in WORDS})
    return table, table["angiographic_disease"].astype(int)


train, disease = read(1)
# Eight patients of Cleveland, and of the hospitals with missing values.
some = pd.concat([train.head(8), read(3)[0].head(4), read(4)[0].tail(8)])


def write(name, text, prediction, columns, patients=None):
    (HERE / f"{name}.json").write_text(text.rstrip("\n") + "\n")
    patients = some if patients is None else patients
    rows = []
    for (_, row), value in zip(patients.iterrows(), prediction):
        features = {key: (None if pd.isna(row[key]) else row[key]) for key in columns}
        rows.append({"features": features, "prediction": None if np.isnan(value) else float(value)})
    expected[name] = rows


def dump(value):
    return json.dumps(value, indent=1)


def gaps(table, columns, values):
    """A regression has no prediction where a feature is missing."""
    return np.where(table[columns].isna().any(axis=1), np.nan, values)


def logistic():
    design = lambda table: np.column_stack(
        [table[name].fillna(0) - centre for name, centre in zip(NUMBERS, [54, 150, 1])]
        + [(table["sex"] == "male").astype(float)]
        + [(table["chest_pain_type"] == kind).astype(float) for kind in ("atypical angina", "non-anginal")]
    )
    model = LogisticRegression(C=10, max_iter=1000).fit(design(train), disease)
    names = [(name, centre, None) for name, centre in zip(NUMBERS, [54, 150, 1])]
    names += [("sex", 0, "male"), ("chest_pain_type", 0, "atypical angina"), ("chest_pain_type", 0, "non-anginal")]
    coefficients = []
    for (feature, centre, level), coefficient in zip(names, model.coef_[0]):
        one = {"feature": feature, "coefficient": float(coefficient)}
        one |= {"level": level} if level else {"centre": centre}
        coefficients.append(one)
    text = dump(
        {
            "format": "organtwin.regression/1",
            "kind": "logistic",
            "intercept": float(model.intercept_[0]),
            "coefficients": coefficients,
        }
    )
    columns = NUMBERS + WORDS
    write("logistic", text, gaps(some, columns, model.predict_proba(design(some))[:, 1]), columns)


def cox():
    columns = ["age_years", "st_depression_mm"]
    random = np.random.default_rng(1)
    table = train[columns].copy()
    hazard = np.exp(0.05 * (table["age_years"] - 54) + 0.4 * table["st_depression_mm"]) / 12
    table["years"] = np.minimum(random.exponential(1 / hazard), 10.0)
    table["event"] = (table["years"] < 10).astype(int)
    model = CoxPHFitter().fit(table, "years", "event")
    # lifelines centres on the means, so its baseline is that of the mean patient.
    zero = pd.DataFrame([train[columns].mean()])
    survival = float(model.predict_survival_function(zero, times=[5.0]).iloc[0, 0])
    text = dump(
        {
            "format": "organtwin.regression/1",
            "kind": "cox",
            "baseline_survival": survival,
            "years": 5.0,
            "coefficients": [
                {"feature": name, "coefficient": float(model.params_[name]), "centre": float(train[name].mean())}
                for name in columns
            ],
        }
    )
    filled = some[columns].fillna(0)
    risk = 1 - model.predict_survival_function(filled, times=[5.0]).iloc[0].to_numpy()
    write("cox", text, gaps(some, columns, risk), columns)


def gam():
    columns = ["age_years", "peak_heart_rate_bpm", "sex"]
    splines = {
        name: SplineTransformer(n_knots=5, degree=1, extrapolation="constant").fit(train[[name]].to_numpy(float))
        for name in columns[:2]
    }
    design = lambda table: np.column_stack(
        [splines[name].transform(table[[name]].fillna(100).to_numpy(float)) for name in columns[:2]]
        + [(table["sex"] == "male").astype(float)]
    )
    model = LogisticRegression(C=1, max_iter=1000).fit(design(train), disease)
    weights = model.coef_[0]
    terms = []
    for index, name in enumerate(columns[:2]):
        knots = splines[name].bsplines_[0].t[1:-1]
        terms.append(
            {
                "feature": name,
                "knots": [float(knot) for knot in knots],
                "values": [float(weight) for weight in weights[5 * index : 5 * index + 5]],
            }
        )
    terms.append({"feature": "sex", "categories": {"female": 0.0, "male": float(weights[-1])}})
    text = dump(
        {
            "format": "organtwin.gam/1",
            "link": "logit",
            "intercept": float(model.intercept_[0]),
            "terms": terms,
        }
    )
    write("gam", text, gaps(some, columns, model.predict_proba(design(some))[:, 1]), columns)


def boosting():
    columns = NUMBERS + WORDS + ["cholesterol_mg_dl"]
    kinds = ["continuous"] * 3 + ["nominal"] * 2 + ["continuous"]
    # Some cholesterols are taken away, so that the model learns a value for missing ones.
    holes = train[columns].copy()
    holes.loc[holes.index[::9], "cholesterol_mg_dl"] = np.nan
    settings = dict(feature_names=columns, feature_types=kinds, max_bins=10, outer_bags=4, random_state=3, n_jobs=1)
    model = ExplainableBoostingClassifier(interactions=0, **settings).fit(holes, disease)
    model.to_json(str(HERE / "ebm.json"), detail="interpretable", indent=1)
    write("ebm", (HERE / "ebm.json").read_text(), model.predict_proba(some[columns])[:, 1], columns)

    pairs = [("age_years", "chest_pain_type"), ("st_depression_mm", "age_years")]
    model = ExplainableBoostingClassifier(interactions=pairs, max_interaction_bins=6, **settings)
    model.fit(train[columns], disease)
    model.to_json(str(HERE / "ebm-pairs.json"), detail="interpretable", indent=1)
    known = train.head(12)
    text = (HERE / "ebm-pairs.json").read_text()
    write("ebm-pairs", text, model.predict_proba(known[columns])[:, 1], columns, known)

    columns = ["age_years", "sex", "st_depression_mm"]
    model = ExplainableBoostingRegressor(
        feature_names=columns,
        feature_types=["continuous", "nominal", "continuous"],
        interactions=0,
        max_bins=10,
        outer_bags=4,
        random_state=3,
        n_jobs=1,
    )
    model.fit(train[columns], train["peak_heart_rate_bpm"])
    model.to_json(str(HERE / "ebm-number.json"), detail="minimal", indent=1)
    write("ebm-number", (HERE / "ebm-number.json").read_text(), model.predict(some[columns]), columns)


def stumps():
    columns = NUMBERS + ["cholesterol_mg_dl"]
    holes = train[columns].copy()
    holes.loc[holes.index[::9], "cholesterol_mg_dl"] = np.nan
    model = xgboost.XGBClassifier(max_depth=1, n_estimators=40, learning_rate=0.3, random_state=0)
    model.fit(holes, disease)
    model.save_model(HERE / "xgboost.json")
    text = dump(json.loads((HERE / "xgboost.json").read_text()))
    write("xgboost", text, model.predict_proba(some[columns])[:, 1], columns)

    model = lightgbm.LGBMClassifier(max_depth=1, num_leaves=2, n_estimators=40, verbose=-1, random_state=0)
    model.fit(holes, disease)
    text = dump(model.booster_.dump_model())
    known = some[columns].dropna(subset=NUMBERS)
    write("lightgbm", text, model.predict_proba(known)[:, 1], columns, known)


for make in (logistic, cox, gam, boosting, stumps):
    make()
(HERE / "expected.json").write_text(dump(expected) + "\n")
