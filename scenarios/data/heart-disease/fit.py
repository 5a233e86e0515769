#!/usr/bin/env python3
"""Fits the model of the external validation on the patients of hospital 1 (Cleveland) alone, and writes model.json.

An explainable boosting machine without interactions: a sum of one function per feature, whose logit is the risk of a vessel
narrowed by more than half. The three features that the other hospitals hardly recorded (slope, vessels, thallium scan) are left
out. The fit is deterministic; the packages and their versions stand in requirements.txt.
"""

import pathlib
import warnings

import pandas as pd
from interpret.glassbox import ExplainableBoostingClassifier
from sklearn.metrics import roc_auc_score

HERE = pathlib.Path(__file__).resolve().parent
FEATURES = {
    "age_years": "continuous",
    "sex": "nominal",
    "chest_pain_type": "nominal",
    "resting_pressure_mmhg": "continuous",
    "cholesterol_mg_dl": "continuous",
    "fasting_sugar_above_120_mg_dl": "nominal",
    "resting_ecg": "nominal",
    "peak_heart_rate_bpm": "continuous",
    "exercise_angina": "nominal",
    "st_depression_mm": "continuous",
}


def patients(number):
    table = pd.read_csv(
        HERE / f"hospital-{number}" / "features.csv",
        dtype={name: "object" for name, kind in FEATURES.items() if kind == "nominal"},
    )
    return table[list(FEATURES)], table["angiographic_disease"].astype(int)


def main():
    warnings.filterwarnings("ignore", message="JSON formats are in beta")
    features, disease = patients(1)
    model = ExplainableBoostingClassifier(
        feature_names=list(FEATURES),
        feature_types=list(FEATURES.values()),
        interactions=0,
        max_bins=8,
        random_state=1,
        n_jobs=1,
    )
    model.fit(features, disease)
    model.to_json(str(HERE / "model.json"), detail="interpretable", indent=1)
    for number in range(1, 5):
        features, disease = patients(number)
        risk = model.predict_proba(features)[:, 1]
        print(
            f"hospital-{number}: {len(disease)} patients, AUC {roc_auc_score(disease, risk):.3f},"
            f" mean risk {risk.mean():.3f}, observed {disease.mean():.3f}"
        )
    every = [patients(number) for number in range(1, 5)]
    features = pd.concat([one for one, _ in every])
    disease = pd.concat([one for _, one in every])
    print(f"all: AUC {roc_auc_score(disease, model.predict_proba(features)[:, 1]):.6f}")


if __name__ == "__main__":
    main()
