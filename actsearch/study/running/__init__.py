"""The one loop of a search: claim, propose, train as cohorts, report, prune, finish; then confirm.

It knows a ledger (`actsearch.study.ledger`), Optuna and the cohort engine; no database, no queue, no process.
"""
