// The scenes as tabs (WAI-ARIA Authoring Practices, "Tabs"): one plays at a time.

import { byId } from '../app/dom.js';

/**
 * @param {{id: string, start(person: any): Promise<void>, stop(): void}[]} scenes
 * @param {{opened: (scene: any) => void, troubled: (error: Error) => void}} told
 */
export function setUpScenes(scenes, { opened, troubled }) {
  const tabs = scenes.map(({ id }) => byId(`tab-${id}`));
  let playing = null;
  let audience = null;

  const play = async (scene) => {
    playing?.stop();
    playing = scene;
    tabs.forEach((tab, i) => {
      const chosen = scenes[i] === scene;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      byId(`scene-${scenes[i].id}`).hidden = !chosen;
    });
    if (!audience) return;
    opened(scene);
    try {
      await scene.start(audience);
    } catch (error) {
      troubled(error);
    }
    if (playing !== scene) scene.stop(); // another one was chosen meanwhile
  };

  tabs.forEach((tab, i) => {
    tab.onclick = () => play(scenes[i]);
    tab.onkeydown = ({ key }) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!by) return;
      const next = (i + by + tabs.length) % tabs.length;
      tabs[next].focus();
      play(scenes[next]);
    };
  });
  play(scenes[0]);
  return {
    startFor(person) {
      audience = person;
      play(playing);
    },
  };
}
