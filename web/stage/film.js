// The film under the comments: a night by the sea, painted, for it needs no download.

const STARS = 70;
const WAVES = 5;

/* The same sky each time. */
function starsOf(width, height) {
  return Array.from({ length: STARS }, (_, i) => ({
    x: ((i * 7919) % 997) / 997 * width, y: ((i * 104729) % 991) / 991 * height * 0.55, size: 0.5 + (i % 3) * 0.4, phase: i,
  }));
}

function paintSky(context, width, height, seconds) {
  const sky = context.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, '#0b1030');
  sky.addColorStop(0.55, '#2b2a63');
  sky.addColorStop(0.72, '#a0527a');
  sky.addColorStop(0.8, '#f29b6b');
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);
  for (const { x, y, size, phase } of starsOf(width, height)) {
    context.globalAlpha = 0.35 + 0.45 * Math.abs(Math.sin(seconds * 0.7 + phase));
    context.fillStyle = '#fff';
    context.fillRect(x, y, size * 1.6, size * 1.6);
  }
  context.globalAlpha = 1;
}

function paintSun(context, width, height) {
  const y = height * 0.76;
  const glow = context.createRadialGradient(width * 0.68, y, 0, width * 0.68, y, height * 0.6);
  glow.addColorStop(0, 'rgb(255 214 150 / 75%)');
  glow.addColorStop(1, 'rgb(255 214 150 / 0%)');
  context.fillStyle = glow;
  context.fillRect(0, 0, width, height);
  context.fillStyle = '#ffe3ae';
  context.beginPath();
  context.arc(width * 0.68, y, height * 0.13, Math.PI, 0);
  context.fill();
}

function paintHills(context, width, height) {
  for (const [base, rise, colour, step] of [[0.77, 0.11, '#3d2a5c', 0.011], [0.79, 0.06, '#241b45', 0.019]]) {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width + 6; x += 6)
      context.lineTo(x, height * (base - rise * (0.5 + 0.5 * Math.sin(x * step + base * 30) * Math.sin(x * step * 0.37))));
    context.lineTo(width + 6, height);
    context.fill();
  }
}

function paintSea(context, width, height, seconds) {
  for (let i = 0; i < WAVES; i++) {
    const y = height * (0.79 + i * 0.05);
    context.fillStyle = `rgb(${22 - i * 3} ${24 - i * 3} ${62 - i * 7})`;
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width + 8; x += 8)
      context.lineTo(x, y + Math.sin(x * 0.02 + seconds * (0.5 + i * 0.22) + i * 2) * (1.5 + i));
    context.lineTo(width, height);
    context.fill();
  }
}

/* A boat with a ladder for a mast. */
function paintBoat(context, width, height, seconds) {
  const x = ((seconds * 9) % (width + 160)) - 80;
  const y = height * 0.84 + Math.sin(seconds) * 2;
  context.save();
  context.translate(x, y);
  context.rotate(Math.sin(seconds * 0.8) * 0.03);
  context.strokeStyle = '#f6e2c4';
  context.lineWidth = 2.2;
  context.beginPath();
  for (const rail of [-5, 5]) {
    context.moveTo(rail, 0);
    context.lineTo(rail, -40);
  }
  for (let rung = 1; rung <= 5; rung++) {
    context.moveTo(-5, -rung * 7);
    context.lineTo(5, -rung * 7);
  }
  context.stroke();
  context.fillStyle = '#f6e2c4';
  context.beginPath();
  context.moveTo(-30, -2);
  context.quadraticCurveTo(0, 16, 32, -2);
  context.fill();
  context.restore();
}

/** @param {HTMLCanvasElement} canvas @returns {() => void} to stop it */
export function paintFilm(canvas) {
  const context = canvas.getContext('2d');
  const calm = matchMedia('(prefers-reduced-motion: reduce)');
  let frame = 0;
  const paint = (at) => {
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    for (const part of [paintSky, paintSun, paintHills, paintSea, paintBoat]) part(context, width, height, at / 1000);
    if (!calm.matches) frame = requestAnimationFrame(paint);
  };
  frame = requestAnimationFrame(paint);
  return () => cancelAnimationFrame(frame);
}
