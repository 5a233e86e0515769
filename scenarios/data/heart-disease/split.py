#!/usr/bin/env python3
"""Splits the data set into one feature file per hospital: split.py heart_disease_uci.csv

Columns get the keys of the dictionary of inputs, with their units. A cholesterol or a blood pressure of 0 was never measured: it
becomes an empty field, as is everything that the data set leaves out. The outcome is 1 for any narrowing by more than half
(num 1 to 4). Needs Python 3 only.
"""

import csv
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
HOSPITALS = ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"]
COLUMNS = {
    "age": "age_years",
    "sex": "sex",
    "cp": "chest_pain_type",
    "trestbps": "resting_pressure_mmhg",
    "chol": "cholesterol_mg_dl",
    "fbs": "fasting_sugar_above_120_mg_dl",
    "restecg": "resting_ecg",
    "thalch": "peak_heart_rate_bpm",
    "exang": "exercise_angina",
    "oldpeak": "st_depression_mm",
    "slope": "st_slope",
    "ca": "fluoroscopy_vessels",
    "thal": "thallium_scan",
}
WORDS = {
    "Male": "male",
    "Female": "female",
    "TRUE": "true",
    "FALSE": "false",
    "reversable defect": "reversible defect",
}
ZERO_IS_MISSING = {"trestbps", "chol"}


def value(column, text):
    if text in ("", "NA") or (column in ZERO_IS_MISSING and float(text) == 0):
        return ""
    text = WORDS.get(text, text)
    return text[:-2] if text.endswith(".0") else text


def main(source):
    with open(source, newline="") as file:
        rows = list(csv.DictReader(file))
    for number, hospital in enumerate(HOSPITALS, 1):
        folder = HERE / f"hospital-{number}"
        folder.mkdir(exist_ok=True)
        with open(folder / "features.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["patient", *COLUMNS.values(), "angiographic_disease"])
            for row in (row for row in rows if row["dataset"] == hospital):
                values = [value(column, row[column]) for column in COLUMNS]
                disease = "true" if int(row["num"]) > 0 else "false"
                writer.writerow([f"uci-{row['id']}", *values, disease])


if __name__ == "__main__":
    main(sys.argv[1])
