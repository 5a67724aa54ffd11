"""The encodings there are, one file and one line each, by family.

A new line here and an encoding is named everywhere: flags, configuration files and checkpoints find it by its class
name, `ropelab.encodings` holds what `__all__` of its file names, and every property of `ropelab.contract` is run on its
`EXAMPLES`.
"""

# none, and plain rotation
from ropelab.encodings.nope import *
from ropelab.encodings.rope import *

# rotary, stretched to longer contexts
from ropelab.encodings.pi import *
from ropelab.encodings.ntk import *
from ropelab.encodings.ntk_by_parts import *
from ropelab.encodings.ntk_mixed import *
from ropelab.encodings.yarn import *
from ropelab.encodings.llama3 import *
from ropelab.encodings.dynamic_pi import *
from ropelab.encodings.dynamic_ntk import *
from ropelab.encodings.dynamic_yarn import *
from ropelab.encodings.longrope import *

# rotary, with other frequencies or amplitudes
from ropelab.encodings.proportional import *
from ropelab.encodings.resonance import *
from ropelab.encodings.clipped import *
from ropelab.encodings.hope import *
from ropelab.encodings.fope import *
from ropelab.encodings.xpos import *
from ropelab.encodings.pope import *

# added to scores
from ropelab.encodings.alibi import *
from ropelab.encodings.t5 import *
from ropelab.encodings.kerple import *
from ropelab.encodings.sandwich import *
from ropelab.encodings.fire import *
from ropelab.encodings.cope import *

# remapped distances
from ropelab.encodings.rerope import *
from ropelab.encodings.self_extend import *
from ropelab.encodings.dual_chunk import *

# temperatures
from ropelab.encodings.logn import *
from ropelab.encodings.scalable_softmax import *
from ropelab.encodings.temperature import *

# added to the input
from ropelab.encodings.sinusoidal import *
from ropelab.encodings.learned import *

# schedules over layers
from ropelab.encodings.layers import *
