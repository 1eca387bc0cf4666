"""Main path from a float graph to an int8 one.

Recipe, calibration, plan, ranges, parameters, repair, Q/DQ: `ptq` names the steps in order.
"""
