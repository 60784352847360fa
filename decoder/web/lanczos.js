// Enlarges a picture as Lanczos does (3 lobes, as the receiver's own resizing), on the GPU.

const VERTEX = `#version 300 es
const vec2 corners[4] = vec2[4](vec2(-1, -1), vec2(1, -1), vec2(-1, 1), vec2(1, 1));
void main() { gl_Position = vec4(corners[gl_VertexID], 0, 1); }`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform vec2 target; // size of what is drawn, in pixels
out vec4 colour;

float weight(float x) {
  if (abs(x) < 1e-4) { return 1.0; }
  if (abs(x) >= 3.0) { return 0.0; }
  float p = 3.14159265 * x;
  return 3.0 * sin(p) * sin(p / 3.0) / (p * p);
}

void main() {
  ivec2 size = textureSize(picture, 0);
  vec2 position = vec2(gl_FragCoord.x, target.y - gl_FragCoord.y) / target * vec2(size) - 0.5;
  ivec2 first = ivec2(floor(position)) - 2;
  vec2 offset = fract(position) + 2.0;
  vec3 sum = vec3(0);
  float weights = 0.0;
  for (int y = 0; y < 6; y++) {
    float row = weight(offset.y - float(y));
    for (int x = 0; x < 6; x++) {
      float both = row * weight(offset.x - float(x));
      ivec2 tap = clamp(first + ivec2(x, y), ivec2(0), size - 1);
      sum += both * texelFetch(picture, tap, 0).rgb;
      weights += both;
    }
  }
  colour = vec4(clamp(sum / weights, 0.0, 1.0), 1);
}`;

export class Lanczos {
  // Null where there is no GPU, unless even a slow one will do.
  static create({ onSlowMachines = false } = {}) {
    const canvas = document.createElement("canvas");
    const gl = canvas.getContext("webgl2", {
      alpha: false,
      antialias: false,
      failIfMajorPerformanceCaveat: !onSlowMachines,
    });
    if (!gl || (!onSlowMachines && isSoftware(gl))) {
      return null;
    }
    return new Lanczos(canvas, gl);
  }

  constructor(canvas, gl) {
    this.canvas = canvas;
    this.gl = gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      throw new Error(`the Lanczos program: ${gl.getProgramInfoLog(program)}`);
    }
    this.target = gl.getUniformLocation(program, "target");
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  // A canvas that holds the left `visible` pixels of `picture` at width x height.
  enlarge(picture, width, height, visible) {
    const { canvas, gl } = this;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      gl.viewport(0, 0, width, height);
    }
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(0, 0, Math.ceil(visible), height);
    gl.uniform2f(this.target, width, height);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    return canvas;
  }
}

// Browsers do not always count a CPU that plays GPU as a "major performance caveat".
function isSoftware(gl) {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  return /swiftshader|llvmpipe|software|basic render/i.test(renderer);
}
