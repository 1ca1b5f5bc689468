"""JUDGEMENT (pure): what each rule says of one instance."""
