"""What several metrics share: rows and samples, tables of information, classifiers, protocols, scoring."""
