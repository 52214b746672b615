"""How clients' updates become the next global model, one paper a function; NumPy alone.

Arrays and explicit state in, new values out. `trainable` says for every array of a model whether gradients
change it. Those that are not, the moving statistics of batch normalization, are no directions to step in:
no server optimizer touches them, no norm counts or scales them. Nor are the arrays that clients keep for
themselves (BATCH_NORM=local): for a run that has these, `trainable` says no of them too.
"""
